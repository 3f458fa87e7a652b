"""Residual blocks of the WGAN-GP, SNGAN, SAGAN and BigGAN networks, and their numbers of channels by image size.

All blocks are pre-activated. A 1x1 convolution commutes with nearest upsampling and with average pooling, so the
shortcuts convolve at the smaller of the two sizes.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.networks.layers.normalisation import ConditionalSequential, batch_norm
from gan_lightning.sizes import Size, check_sides, halved, height_width

SIZES = (16, 32, 48, 64, 96, 128, 192, 256)
GENERATOR_MULTIPLES = {  # by the number of doublings; as in SNGAN at 48, 64 and 128 pixels and in BigGAN at 256
    3: (8, 4, 2, 1),
    4: (16, 8, 4, 2, 1),
    5: (16, 16, 8, 4, 2, 1),
    6: (16, 16, 8, 8, 4, 2, 1),
}


def doublings(image_size: Size, network: str) -> tuple[tuple[int, int], int]:
    """Return height and width of the first feature map and the number of doublings to `image_size`.

    The shorter side of the map has 4 or 6 pixels. Raises UserError if `network` does not support the size: the shorter
    side is one of SIZES, and the longer one can be halved as often, by the discriminator too.
    """
    words = f"{', '.join(map(str, SIZES[:-1]))} or {SIZES[-1]} pixels"
    check_sides(image_size, network, SIZES, words, unit=lambda short: short // (3 if short % 3 == 0 else 4))
    short = min(height_width(image_size))
    times = (short // (6 if short % 3 == 0 else 4)).bit_length() - 1
    return halved(image_size, times), times


def generator_widths(image_size: Size, width: int, layout: str, network: str) -> list[int]:
    """Return the channels of the generator's feature maps, from the smallest to the image's size.

    layout: "doubling" (SNGAN, SAGAN, BigGAN): for images up to 32 pixels 4 * width in all maps; from 48 pixels on, from
        16 * width in the smallest map down to width. "constant" (WGAN-GP): width in all maps.
    """
    _, times = doublings(image_size, network)
    if _is_constant(layout, image_size):
        return [width if layout == "constant" else 4 * width] * (times + 1)
    return [multiple * width for multiple in GENERATOR_MULTIPLES[times]]


def discriminator_widths(image_size: Size, width: int, layout: str, network: str) -> tuple[list[int], list[bool]]:
    """Return for each block its output channels and whether it halves the size.

    layout: as for generator_widths, but 2 * width for images up to 32 pixels. Their maps are halved to 8x8, those of
        larger images to 4x4 (or 3x3); later blocks keep the size.
    """
    first, times = doublings(image_size, network)
    if _is_constant(layout, image_size):
        halves = [True] * (times - 1) + [False, False]
        return [width if layout == "constant" else 2 * width] * len(halves), halves
    multiples = GENERATOR_MULTIPLES[times][::-1] + ((16,) if min(first) == 6 else ())
    return [multiple * width for multiple in multiples], [True] * (len(multiples) - 1) + [False]


def _is_constant(layout: str, image_size: Size) -> bool:
    if layout not in ("doubling", "constant"):
        raise UserError(f"layout={layout} is not known: choose doubling or constant.")
    return layout == "constant" or min(height_width(image_size)) <= 32


def attention_size(attention: int | None, image_size: Size) -> tuple[int, int] | None:
    """Return height and width of the map with self-attention.

    Its shorter side is the largest of at most `attention` pixels and half the image's.

    None without attention. Raises UserError if `attention` is smaller than all maps.
    """
    if attention is None:
        return None
    maps = [halved(image_size, k) for k in range(1, min(height_width(image_size)).bit_length())]
    sides = [min(one) for one in maps if min(one) >= 8]
    fitting = [side for side in sides if side <= attention]
    if not fitting:
        raise UserError(f"attention={attention} is below all feature maps: choose one of {sides}, or null for none.")
    return maps[sides.index(fitting[0])]


class GeneratorBlock(nn.Module):
    """norm-ReLU-double-conv-norm-ReLU-conv plus 1x1-double: `(N, inputs, H, W)` -> `(N, outputs, 2H, 2W)`.

    condition_dim: dimension of the norms' conditions `(N, condition_dim)`; 0 for plain batch norm.
    """

    takes_condition: ClassVar[bool] = True

    def __init__(self, inputs: int, outputs: int, condition_dim: int = 0) -> None:
        super().__init__()
        self.residual = ConditionalSequential(
            batch_norm(inputs, condition_dim),
            nn.ReLU(inplace=True),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(inputs, outputs, 3, padding=1),
            batch_norm(outputs, condition_dim),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.Upsample(scale_factor=2))

    def forward(self, inputs: Tensor, condition: Tensor | None = None) -> Tensor:
        """Return the map at twice the size."""
        return self.residual(inputs, condition) + self.shortcut(inputs)


class DiscriminatorBlock(nn.Module):
    """ReLU-conv-ReLU-conv-halve plus halve-1x1: `(N, inputs, H, W)` -> `(N, outputs, H/2, W/2)`.

    halve: whether the size is halved.
    first: the input is the image, so there is no ReLU before it.
    wide: the hidden map has as many channels as the output (SAGAN, BigGAN), else as the input (SNGAN).
    """

    def __init__(self, inputs: int, outputs: int, halve: bool, first: bool = False, wide: bool = False) -> None:
        super().__init__()
        hidden = outputs if wide or first else inputs
        pool = [nn.AvgPool2d(2)] if halve else []
        self.residual = nn.Sequential(
            *([] if first else [nn.ReLU()]),  # not in place: the shortcut reads the same tensor
            nn.Conv2d(inputs, hidden, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 3, padding=1),
            *pool,
        )
        convolution = [nn.Conv2d(inputs, outputs, 1)] if halve or inputs != outputs else []
        self.shortcut = nn.Sequential(*pool, *convolution)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the map, halved or not."""
        return self.residual(inputs) + self.shortcut(inputs)
