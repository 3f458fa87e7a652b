"""How many of the 1,000 modes of stacked digits a generator covers: the protocol of VEEGAN and PacGAN."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError, check_range
from gan_lightning.metrics import classifier
from gan_lightning.metrics.base import LOCAL, GeneratorMetric, Setting, Subject
from gan_lightning.pixels import to_uint8

BATCH = 256
MODES = 1000


class StackedModes(GeneratorMetric):
    """Modes captured of 1,000, and reverse KL of their histogram, for images that stack three digits as RGB.

    A classifier of single digits recognises the digit in each channel. It has the recipe and the cache of
    extractor=classifier; its accuracy on held-out digits is printed. A mode is captured if at least one sample is
    recognised as it; reverse KL, in nats, compares the histogram of all samples with the uniform one (Srivastava et al.
    2017, arXiv 1705.07761; Lin et al. 2017, arXiv 1712.04086). For N samples of a perfect sampler the reverse KL is
    about 999 / 2N: 0.0192 at the protocol's 26,000.

    epochs: passes over the digits that the classifier is trained on. seed: of the classifier. target: "uniform", or
    "data": the distribution of the real images, which depends on how frequent each digit is.
    """

    names: ClassVar[tuple[str, ...]] = ("modes", "reverse_kl")
    protocol: ClassVar[str] = ""

    counts: Tensor  # (1000,) number of samples of each mode
    law: Tensor  # (1000,) distribution that they are compared with

    def __init__(
        self, setting: Setting, epochs: int = 15, seed: int = 0, target: Literal["uniform", "data"] = "uniform"
    ) -> None:
        super().__init__(**LOCAL)
        check_range("metrics.stacked_modes", 1, epochs=epochs)
        if target not in ("uniform", "data"):
            raise UserError(f"metrics.stacked_modes.target={target} is not known: choose uniform or data.")
        if not setting.stacked:
            raise UserError(
                f"metrics=[stacked_modes] counts the modes of stacked digits, and data={setting.data} stacks none: "
                "choose data=stacked_digits or data=stacked_mnist, or another metric."
            )
        self.recipe, self.seed, self.target = classifier.Classifier(epochs, seed), seed, target
        self.add_state("counts", torch.zeros(MODES, dtype=torch.float64), dist_reduce_fx=None)
        self.add_state("law", torch.full((MODES,), 1 / MODES, dtype=torch.float64), dist_reduce_fx=None)

    def update(self, subject: Subject) -> None:
        """Count the modes of `subject.num_fakes` samples; train the classifier first if it is not cached."""
        network = self._classifier(subject.data.single, torch.device(subject.device))
        for start in range(0, subject.num_fakes, BATCH):
            images = subject.sample(start, min(start + BATCH, subject.num_fakes))
            self.counts += self._named(network, images).bincount(minlength=MODES).cpu()
            if not images.isfinite().all():
                self.counts.fill_(torch.nan)  # so that the scores are NaN
        if self.target == "data":
            self.law = subject.data.reference("train").law

    def compute(self) -> tuple[Tensor, Tensor]:
        """Return the number of modes captured, and the reverse KL in nats."""
        share = self.counts / self.counts.sum()
        captured = (self.counts > 0).sum() + 0 * self.counts.sum()
        return captured, torch.xlogy(share, share / self.law).sum()

    def _classifier(self, digits: Any, device: torch.device) -> nn.Module:
        state = self.recipe.trained(digits, device)
        state.pop("accuracy")
        network = classifier.build(1, digits.num_classes, self.seed)
        network.load_state_dict(state)
        return network.to(device).eval()

    @torch.no_grad()
    def _named(self, network: nn.Module, images: Tensor) -> Tensor:
        """Return the mode `(n,)`, 0 to 999, of each of the images `(n, 3, H, W)`, uint8 or float in [-1, 1]."""
        pixels = to_uint8(images.nan_to_num(0, 0, 0)) if images.is_floating_point() else images
        device = next(network.parameters()).device
        hundreds, tens, ones = (
            classifier.named(network, channel[:, None].to(device)) for channel in pixels.unbind(dim=1)
        )
        return 100 * hundreds + 10 * tens + ones
