"""Small networks for 2-D points: the Gaussian mixtures on which captured modes are counted."""

from __future__ import annotations

from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Backbone, Generator, concatenate_labels
from gan_lightning.networks.layers.spectral import normalise_head
from gan_lightning.networks.mlp import Maxout


def _layers(inputs: int, width: int, depth: int, norm: str = "none", pieces: int = 1) -> list[nn.Module]:
    if norm not in ("none", "batch"):
        raise UserError(f"norm={norm} is not known to mlp2d: choose none or batch.")
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers.append(Maxout(inputs, width, pieces) if pieces > 1 else nn.Linear(inputs, width))
        layers += [nn.BatchNorm1d(width)] if norm == "batch" else []
        layers += [nn.ReLU(inplace=True)] if pieces == 1 else []
        inputs = width
    return layers


class MLP2dGenerator(Generator):
    """ReLU layers from z to a point; no activation after the last layer, as points are not bounded.

    Width 512, depth 3 and latent_dim 2 are the toy networks of Gulrajani et al. 2017 (arXiv 1704.00028).

    norm: "none", or "batch" before each ReLU as in PacGAN's experiments (Lin et al. 2017, arXiv 1712.04086).
    """

    def __init__(
        self, latent_dim: int = 2, num_classes: int = 0, width: int = 128, depth: int = 3, norm: str = "none"
    ) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.image_shape = latent_dim, num_classes, (2,)
        self.layers = nn.Sequential(*_layers(latent_dim + num_classes, width, depth, norm), nn.Linear(width, 2))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to points `(N, 2)`."""
        if self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        return self.layers(z)


class MLP2dBackbone(Backbone):
    """Points `(N, channels + label_maps)` to features, without norm layers, so that every penalty is well defined.

    pieces: 1 for ReLU layers; more for maxout layers with this many linear pieces (Goodfellow et al. 2013).
    channels: numbers in a point, or in a pack of points.
    spectral_norm: on all weights, including the head's (Miyato et al. 2018, arXiv 1802.05957).
    """

    def __init__(
        self,
        label_maps: int = 0,
        width: int = 128,
        depth: int = 3,
        pieces: int = 1,
        channels: int = 2,
        spectral_norm: bool = False,
    ) -> None:
        super().__init__()
        self.feature_dim, self.label_maps, self.spectral_norm = width, label_maps, spectral_norm
        self.layers = nn.Sequential(*_layers(channels + label_maps, width, depth, pieces=pieces))
        self.initialise_head(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of points."""
        return self.layers(images)

    def initialise_head(self, head: nn.Module) -> None:
        """Keep the head's initial weights, and normalise them like the backbone's."""
        if self.spectral_norm:
            normalise_head(head)
