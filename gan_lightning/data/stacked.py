"""Three digits as the colour channels of one image: 1,000 known modes, the protocol of VEEGAN and PacGAN."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor

from gan_lightning.data.data_module import GANData, ResizedData
from gan_lightning.data.digits import Digits
from gan_lightning.data.sources import TensorImages, digest
from gan_lightning.data.torchvision_sets import TorchvisionData
from gan_lightning.errors import UserError
from gan_lightning.sizes import Size
from gan_lightning.streams import generator as random_stream

DIGITS = 10  # classes of one channel


@dataclass(kw_only=True, eq=False, repr=False)
class Stacked(ResizedData):
    """Images whose red, green and blue channels are three independent digits: 10 ** 3 modes of equal weight.

    Metz et al. 2016 (1611.02163), Srivastava et al. 2017 (1705.07761); 128,000 images as Lin et al. 2017 (1712.04086).
    Only the single digits and their combinations are in memory; images are composed on demand. There are no labels in
    training; `reference(split).numbers` has them for metrics.

    num_stacks: size of each split, drawn once from `seed`.
    """

    image_size: Size = 32
    channels: int = 3
    num_stacks: int = 128_000

    num_fakes: ClassVar[int] = 26_000  # default number of samples of an evaluation, as in the protocol
    num_modes: ClassVar[int] = DIGITS**3

    def digits(self) -> GANData:
        """Return the single digits: one channel, 10 classes, the same splits. Subclasses implement this."""
        raise NotImplementedError

    @cached_property
    def single(self) -> GANData:
        """The single digits; read once."""
        return self.digits()

    def check(self) -> None:
        """Raise UserError for an option out of range."""
        super().check()
        if self.channels != 3 or self.num_classes:
            raise UserError(
                f"data={self.name} stacks three unlabelled digits; leave data.channels at 3 and data.num_classes at 0."
            )
        if self.num_stacks < 1:
            raise UserError(f"data.num_stacks={self.num_stacks} is not possible; it is a whole number of at least 1.")

    def load(self, split: str) -> StackedImages:
        """Return `num_stacks` images, uint8 `(num_stacks, 3, height, width)`."""
        digits = self.single.source(split)
        assert isinstance(digits, TensorImages)
        stream = random_stream(self.seed, self.name, split)
        return StackedImages(digits, torch.randint(len(digits), (self.num_stacks, 3), generator=stream))


class StackedImages(TensorImages):
    """Stacked images that are composed on demand.

    digits: one channel, labelled 0 to 9. triples: int64 `(N, 3)`, the digits in the red, green and blue of each image.
    """

    images: Any  # Stacks: indexed like a tensor

    def __init__(self, digits: TensorImages, triples: Tensor) -> None:
        assert digits.labels is not None
        identity = digest(digits.fingerprint, triples.numpy().tobytes())
        super().__init__(Stacks(digits.images[:, 0], triples), None, identity)  # type: ignore[arg-type]
        self.digit_labels, self.triples = digits.labels, triples

    @property
    def numbers(self) -> Tensor:
        """Number of each image's mode, 0 to 999 `(N,)`: red gives the hundreds, blue the ones."""
        return (self.digit_labels[self.triples] * torch.tensor([DIGITS**2, DIGITS, 1])).sum(dim=1)

    @property
    def law(self) -> Tensor:
        """Probability of each mode when the stacks were drawn, float64 `(1000,)`."""
        shares = self.digit_labels.bincount(minlength=DIGITS).double() / len(self.digit_labels)
        return torch.einsum("a,b,c->abc", shares, shares, shares).flatten()


class Stacks:
    """Behaves like a tensor `(N, 3, H, W)` for loaders, without its 400 MB.

    digits: uint8 `(M, H, W)`. triples: `(N, 3)` of their numbers, on the same device.
    """

    ndim = 4

    def __init__(self, digits: Tensor, triples: Tensor) -> None:
        self.digits, self.triples = digits, triples

    def __len__(self) -> int:
        return len(self.triples)

    def __getitem__(self, index: int | Tensor) -> Tensor:
        return self.digits[self.triples[index]]

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.digits.nbytes + self.triples.nbytes

    @property
    def device(self) -> torch.device:
        """Device of the images."""
        return self.digits.device

    def to(self, device: torch.device | str) -> Stacks:
        """Return a copy on `device`."""
        return Stacks(self.digits.to(device), self.triples.to(device))


@dataclass(kw_only=True, eq=False, repr=False)
class StackedDigits(Stacked):
    """Stacks of scikit-learn's 1,797 digits: 1,000 modes without a download. The only split is "train"."""

    name = "stacked_digits"
    splits = ("train",)

    def digits(self) -> Digits:
        """Return the digits."""
        return Digits(image_size=self.image_size, fit=self.fit)


@dataclass(kw_only=True, eq=False, repr=False)
class StackedMNIST(Stacked):
    """Stacks of MNIST's digits: "train" uses its 60,000 images, "test" its 10,000.

    root: the folder with torchvision's sets; None = $GAN_LIGHTNING_DATA, else ./data.
    """

    root: str | None = None

    name = "stacked_mnist"

    def digits(self) -> TorchvisionData:
        """Return MNIST, downloaded on first use."""
        return TorchvisionData(
            name="mnist", root=self.root, image_size=self.image_size, fit=self.fit, channels=1, num_classes=DIGITS
        )
