"""The discriminators of Projected GAN: Sauer, Chitta, Mueller and Geiger 2021, arXiv 2111.01007.

Images are judged by features of a frozen network, which are mixed by random projections that are never trained. The
architecture is that of the authors' released code for FastGAN's generator, whose mixing across scales has 1x1
convolutions where the paper speaks of 3x3. Labels reach the judges by any head, which is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from gan_lightning.errors import UserError
from gan_lightning.networks.base import Backbone, DiscriminatorOutput
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.efficientnet_lite import CHANNELS, LiteFeatures, freeze
from gan_lightning.networks.fastgan import PatchHead
from gan_lightning.networks.heads import Head, LinearHead
from gan_lightning.networks.layers.spectral import spectrally_normalise
from gan_lightning.sizes import Size, height_width

JUDGES = len(CHANNELS)
STRIDE = 32  # pixels that one place of the last map of each judge stands for
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "layer": partial(nn.GroupNorm, 1),
    "none": nn.Identity,
}
LEAST = 4 * STRIDE  # pixels of which a judge's last map has the 4x4 places that a logit needs


class RandomProjection(nn.Module):
    """Mixes four maps at strides 4, 8, 16, 32 across channels, then across scales; random, and never trained.

    Across channels: 1x1 convolutions to width * (1, 2, 4, 8) channels. Across scales, from the coarsest map on: the
    finer map is added, bilinear upsampling by two, and a 1x1 convolution to half the channels (the last one keeps
    them). So there are width * (1, 1, 2, 4) channels at strides 2, 4, 8, 16. All weights are drawn as PyTorch's
    convolutions are (Kaiming's uniform distribution) and are buffers: saved with a checkpoint, and moved by nobody.

    inputs: channels of the maps, the finest first.
    """

    def __init__(self, inputs: tuple[int, ...] = CHANNELS, width: int = 64) -> None:
        super().__init__()
        mixed = [width * 2**k for k in range(len(inputs))]
        self.widths = [max(channels // 2, width) for channels in mixed]
        self.channels = nn.ModuleList([nn.Conv2d(one, other, 1) for one, other in zip(inputs, mixed, strict=True)])
        self.scales = nn.ModuleList([nn.Conv2d(one, other, 1) for one, other in zip(mixed, self.widths, strict=True)])
        freeze(self, saved=True)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map the four maps, the finest first, to four of twice the sides."""
        results: list[Tensor] = []
        for layer, mix, features in reversed([*zip(self.scales, self.channels, maps, strict=True)]):
            finer = mix(features)
            both = finer + results[-1] if results else finer
            doubled = interpolate(both, scale_factor=2, mode="bilinear", align_corners=True)
            results.append(layer(doubled))
        return results[::-1]


class ProjectedBackbone(Backbone):
    """A frozen network, a random projection of its maps, and four judges, one for each map.

    A judge halves its map to 1/32 of the image's side (4, 3, 2, 1 blocks) with 8 * width channels: a 4x4 convolution of
    stride 2 with spectral norm, batch norm, leaky ReLU 0.2. The features are these four maps, flattened. The frozen
    network is in no state dict, since it comes from its package; it stays in evaluation mode and gets no gradient.

    image_size, channels: of the images; grey ones (1) are shown as colour.
    label_maps: number of one-hot label maps, which are concatenated to the four projected maps.
    size: pixels to which a smaller shorter side is enlarged first, bilinearly; a multiple of 32 from 128 on (the
        authors take 224). Larger images are shown as they are. Sides are rounded to multiples of 32.
    width: channels of the finest projected map. separable: depthwise 3x3, 1x1, then pooling, in the place of 4x4.
    norm: "batch" as in the paper; "layer" or "none" with a gradient penalty, since batch norm couples samples.
    network: "lite0" or "lite1", see LiteFeatures.
    """

    head_bias = False
    judges_by = "lite"

    def __init__(
        self,
        image_size: Size,
        channels: int,
        label_maps: int = 0,
        size: int = 128,
        width: int = 64,
        separable: bool = False,
        norm: str = "batch",
        network: str = "lite0",
    ) -> None:
        super().__init__()
        _check(channels, size)
        self.channels, self.label_maps = channels, label_maps
        self.shown_size = _shown_size(height_width(image_size, least=8), size)
        frozen = LiteFeatures(network).to(torch.get_default_device())
        self._features = [frozen]  # in a list, so that it is no submodule, and nothing of it is saved
        self.projection = RandomProjection(CHANNELS, width)
        block = partial(_block, separable=separable, norm=norm)
        inputs = [channels + label_maps for channels in self.projection.widths]
        self.judges = nn.ModuleList([_judge(shown, width, first, block) for first, shown in enumerate(inputs)])
        spectrally_normalise(self.judges)
        self.last_size = self.shown_size[0] // STRIDE, self.shown_size[1] // STRIDE
        self.feature_dim = JUDGES * 8 * width * math.prod(self.last_size)

    def forward(self, images: Tensor) -> Tensor:
        """Return features `(N, feature_dim)`, the judges' last maps flattened, of `(N, C + label_maps, H, W)`."""
        pictures, labels = images.split([self.channels, self.label_maps], 1)
        maps = self.projection(self._features[0](self.shown(pictures)))
        codes = labels[:, :, :1, :1]  # a one-hot map is the same everywhere
        beside = [torch.cat([one, codes.expand(-1, -1, *one.shape[2:])], 1) for one in maps]
        return torch.cat([judge(one).flatten(1) for judge, one in zip(self.judges, beside, strict=True)], 1)

    def shown(self, pictures: Tensor) -> Tensor:
        """Return what the frozen network sees of `(N, C, H, W)`: pictures of the size `shown_size`."""
        if pictures.shape[2:] == self.shown_size:
            return pictures
        return interpolate(pictures, size=self.shown_size, mode="bilinear", align_corners=False)

    def initialise_head(self, head: nn.Module) -> None:
        """Normalise the head spectrally, except embeddings, which may start at zero."""
        spectrally_normalise(head, skip=(nn.Embedding,))

    def stages(self) -> list[list[nn.Module]]:
        """Return four stages: the judges' blocks by the sides of their maps, the largest first."""
        blocks = [[*judge.children()] for judge in self.judges]
        return [[blocks[k][stage - k] for k in range(stage + 1)] for stage in range(JUDGES)]

    def packed(self, pack: int) -> Backbone:
        """Refuse packs: the frozen network knows single images."""
        raise UserError(f"ProjectedBackbone judges by a network for single images, not packs of {pack}: set pack=1.")

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Self:
        """Move the frozen network along to another device, type or memory format."""
        self._features[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)


class PanelHead(Head):
    """A head for each judge, on its map; logits `(N, K)` of all of them, so that a loss is the mean of the judges'.

    head: builds one from feature_dim and bias. LinearHead is replaced by the paper's: one logit for each 4x4 window.
    side: height and width of a judge's map.
    """

    def __init__(
        self, feature_dim: int, bias: bool = True, head: Callable[..., Head] = LinearHead, side: Size = 4
    ) -> None:
        nn.Module.__init__(self)
        make = partial(PatchHead, side=side) if _class_of(head) is LinearHead else head
        self.judges = nn.ModuleList([make(feature_dim=feature_dim // JUDGES, bias=bias) for _ in range(JUDGES)])
        first = self.judges[0]
        assert isinstance(first, Head)
        self.num_classes, self.needs_labels = first.num_classes, first.needs_labels  # type: ignore[misc]

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N, K)`, those of the finest map first."""
        parts = features.chunk(JUDGES, 1)
        outputs = [judge(part, labels) for judge, part in zip(self.judges, parts, strict=True)]
        logits = [output.logits.reshape(len(features), -1) for output in outputs]
        return DiscriminatorOutput(torch.cat(logits, 1), features)


class ProjectedDiscriminator(Discriminator):
    """A ProjectedBackbone with a panel of heads.

    head: one for each judge, see PanelHead; a head with terms of its own is one for the maps of all judges.
    """

    def __init__(self, backbone: ProjectedBackbone, head: Callable[..., Head] = LinearHead) -> None:
        alone = _class_of(head).loss is not Head.loss
        super().__init__(backbone, head if alone else partial(PanelHead, head=head, side=backbone.last_size))


def _judge(inputs: int, width: int, first: int, block: Callable[[int, int], nn.Module]) -> nn.Sequential:
    """Return the blocks of the judge of map number `first`."""
    widths = [inputs, *(width * 2**k for k in range(first, JUDGES))]
    return nn.Sequential(*[block(before, after) for before, after in pairwise(widths)])


def _block(inputs: int, outputs: int, separable: bool, norm: str) -> nn.Sequential:
    if norm not in NORMS:
        raise UserError(f"norm={norm} is not known to projected_gan: choose one of {', '.join(NORMS)}.")
    rest = NORMS[norm](outputs), nn.LeakyReLU(0.2)
    if not separable:
        return nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), *rest)
    depthwise = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(inputs, outputs, 1, bias=False), *rest, nn.AvgPool2d(2))


def _shown_size(sides: tuple[int, int], size: int) -> tuple[int, int]:
    factor = max(1.0, size / min(sides))
    height, width = (max(size, round(side * factor / STRIDE) * STRIDE) for side in sides)
    return height, width


def _check(channels: int, size: int) -> None:
    if channels not in (1, 3):
        raise UserError(
            f"model=projected_gan judges by a network for colour images, and these have {channels} channels: set "
            "data.channels=3 (or 1 for grey)."
        )
    if size < LEAST or size % STRIDE:
        raise UserError(
            f"model.discriminator.backbone.size={size} is not possible: it is a multiple of {STRIDE} of at least "
            f"{LEAST} pixels, of which the coarsest map has the 4x4 places that a logit needs."
        )


def _class_of(head: Callable[..., Head]) -> Any:
    return getattr(head, "func", head)
