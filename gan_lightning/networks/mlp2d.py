"""Small networks for points in the plane: the 2-D mixtures on which mode coverage can be counted."""

from __future__ import annotations

from torch import Tensor, nn

from gan_lightning.networks.base import Backbone, Generator, concatenate_labels


def _layers(inputs: int, width: int, depth: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True)]
        inputs = width
    return layers


class MLP2dGenerator(Generator):
    """z to a point, ReLU layers between and nothing after the last: points are not bounded.

    Widths of the toy networks of Gulrajani et al. 2017 (arXiv 1704.00028) at width 512, depth 3, latent_dim 2.
    """

    def __init__(self, latent_dim: int = 2, num_classes: int = 0, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.latent_dim, self.num_classes, self.image_shape = latent_dim, num_classes, (2,)
        self.layers = nn.Sequential(*_layers(latent_dim + num_classes, width, depth), nn.Linear(width, 2))

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z `(N, latent_dim)` to points `(N, 2)`."""
        if self.num_classes:
            z = concatenate_labels(z, labels, self.num_classes)
        return self.layers(z)


class MLP2dBackbone(Backbone):
    """Points `(N, 2 + label_maps)` to features, ReLU layers, no norm, so that every penalty is well defined."""

    def __init__(self, label_maps: int = 0, width: int = 128, depth: int = 3) -> None:
        super().__init__()
        self.feature_dim, self.label_maps = width, label_maps
        self.layers = nn.Sequential(*_layers(2 + label_maps, width, depth))

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)` of points."""
        return self.layers(images)
