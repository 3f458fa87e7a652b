"""Adversarial losses: from logits of real and fake images to one scalar for each role.

All losses are minimised, and are means over all logits. Both methods take real logits first, then fake ones.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor
from torch.nn.functional import relu, softplus

from gan_lightning.errors import UserError


class AdversarialLoss:
    """Base class of the losses.

    needs_real: whether the generator's loss uses the real logits.
    logits_are_log_odds: whether sigmoid(logit) is the discriminator's probability that an image is real.
    log_odds_up_to_constant: whether the best logits are the log-odds plus some number that is the same for all images.
    needs_bounded_slope: whether the discriminator's part has no least value unless something bounds its slope.
    decides_at_zero: whether a positive logit means "real" and a negative one "fake"; ADA and APA use the sign.
    """

    needs_real: ClassVar[bool] = False
    logits_are_log_odds: ClassVar[bool] = True
    log_odds_up_to_constant: ClassVar[bool] = False
    needs_bounded_slope: ClassVar[bool] = False
    decides_at_zero: bool = True

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return what the discriminator minimises."""
        raise NotImplementedError

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return what the generator minimises; real_logits may be None unless `needs_real`."""
        raise NotImplementedError


class SeparableLoss(AdversarialLoss):
    """A loss whose discriminator part is a term of the real logits plus a term of the fake logits.

    The backward of one can then run before the other is computed, which halves the memory for the discriminator's
    activations.
    """

    def of_real(self, logits: Tensor) -> Tensor:
        """Return what the discriminator minimises over real images."""
        raise NotImplementedError

    def of_fake(self, logits: Tensor) -> Tensor:
        """Return what the discriminator minimises over fakes."""
        raise NotImplementedError

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the sum of both terms."""
        return self.of_real(real_logits) + self.of_fake(fake_logits)


class NonSaturating(SeparableLoss):
    """-log D(x) - log(1 - D(G(z))) and -log D(G(z)). Goodfellow et al. 2014, arXiv 1406.2661.

    real_label: the target for real images; 0.9 is one-sided label smoothing (Salimans et al. 2016, 1606.03498).
        Raises UserError outside (0.5, 1].
    """

    def __init__(self, real_label: float = 1.0) -> None:
        if not 0.5 < real_label <= 1:
            raise UserError(f"loss.real_label={real_label} is out of range: it lies in (0.5, 1], 0.9 smooths as usual.")
        self.real_label = real_label

    def of_real(self, logits: Tensor) -> Tensor:
        """Return the cross-entropy against real_label."""
        # With label l: softplus(-r) + (1 - l) r = -l log D - (1 - l) log(1 - D).
        loss = softplus(-logits).mean()
        return loss if self.real_label == 1 else loss + (1 - self.real_label) * logits.mean()

    def of_fake(self, logits: Tensor) -> Tensor:
        """Return the cross-entropy against 0."""
        return softplus(logits).mean()

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return -log D(G(z)), whose gradient does not vanish when the discriminator is confident."""
        return softplus(-fake_logits).mean()


class Minimax(NonSaturating):
    """The zero-sum game: the generator minimises log(1 - D(G(z))). Goodfellow et al. 2014, arXiv 1406.2661."""

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return log(1 - D(G(z))); its gradient vanishes when the discriminator is confident."""
        return -softplus(fake_logits).mean()


class LeastSquares(SeparableLoss):
    """Squared distance to targets, with a factor 1/2 for both roles. Mao et al. 2016, arXiv 1611.04076.

    fake_target, real_target, generator_target: the paper's a, b, c: (0, 1, 1), or (-1, 1, 0) for Pearson's chi^2.
        One-sided label smoothing is real_target=0.9.
    """

    logits_are_log_odds = False

    def __init__(self, fake_target: float = 0.0, real_target: float = 1.0, generator_target: float = 1.0) -> None:
        self.fake_target, self.real_target, self.generator_target = fake_target, real_target, generator_target
        self.decides_at_zero = fake_target < 0 < real_target

    def of_real(self, logits: Tensor) -> Tensor:
        """Return half the squared distance to b."""
        return (logits - self.real_target).square().mean() / 2

    def of_fake(self, logits: Tensor) -> Tensor:
        """Return half the squared distance to a."""
        return (logits - self.fake_target).square().mean() / 2

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return half the squared distance of fake to c."""
        return (fake_logits - self.generator_target).square().mean() / 2


class Hinge(SeparableLoss):
    """relu(1 - r) + relu(1 + f) and -f. Lim and Ye 2017, arXiv 1705.02894; Tran et al. 2017, 1702.08896."""

    logits_are_log_odds = False

    def of_real(self, logits: Tensor) -> Tensor:
        """Return the mean of relu(1 - logit)."""
        return relu(1 - logits).mean()

    def of_fake(self, logits: Tensor) -> Tensor:
        """Return the mean of relu(1 + logit)."""
        return relu(1 + logits).mean()

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return minus the mean fake logit."""
        return -fake_logits.mean()


class Wasserstein(SeparableLoss):
    """f - r and -f: the critic estimates the earth mover's distance. Arjovsky et al. 2017, arXiv 1701.07875."""

    logits_are_log_odds = False
    needs_bounded_slope = True
    decides_at_zero = False  # a constant added to all scores does not change the loss

    def of_real(self, logits: Tensor) -> Tensor:
        """Return minus the mean score."""
        return -logits.mean()

    def of_fake(self, logits: Tensor) -> Tensor:
        """Return the mean score."""
        return logits.mean()

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return minus the mean fake score."""
        return -fake_logits.mean()


class Relativistic(AdversarialLoss):
    """RpGAN: each real logit is compared with one fake logit. Jolicoeur-Martineau 2018, arXiv 1807.00734."""

    needs_real = True
    logits_are_log_odds = False
    log_odds_up_to_constant = True  # the best r - f is the difference of two images' log-odds
    decides_at_zero = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return -log sigmoid(r - f)."""
        return softplus(fake_logits - real_logits).mean()

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return -log sigmoid(f - r)."""
        assert real_logits is not None  # needs_real
        return softplus(real_logits - fake_logits).mean()


class RelativisticAverage(AdversarialLoss):
    """RaGAN: each logit is compared with the mean of the other side. Jolicoeur-Martineau 2018, 1807.00734.

    The means are over the rows of one process, so with several processes the loss differs from that of one process.
    """

    needs_real = True
    logits_are_log_odds = False
    decides_at_zero = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the cost of (r - mean f) plus the cost of (mean r - f)."""
        real, fake = real_logits - fake_logits.mean(0), fake_logits - real_logits.mean(0)
        return self.cost(real) + self.cost(-fake)

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss with real and fake exchanged."""
        assert real_logits is not None  # needs_real
        return self.discriminator(fake_logits, real_logits)

    def cost(self, margin: Tensor) -> Tensor:
        """Return the mean of -log sigmoid(margin); margins should be large."""
        return softplus(-margin).mean()


class RelativisticAverageLeastSquares(RelativisticAverage):
    """RaLSGAN: squared distances of the margins to 1. 1807.00734."""

    def cost(self, margin: Tensor) -> Tensor:
        """Return the mean of (margin - 1)^2."""
        return (margin - 1).square().mean()


class RelativisticAverageHinge(RelativisticAverage):
    """RaHingeGAN: the hinge loss of the margins. 1807.00734."""

    def cost(self, margin: Tensor) -> Tensor:
        """Return the mean of relu(1 - margin)."""
        return relu(1 - margin).mean()


class DualContrastive(AdversarialLoss):
    """Softmax of each real logit against all fakes, and of each fake against all reals. Yu et al. 2021, arXiv
    2103.16748.

    The batch is that of one process, so with several processes the loss differs from that of one process.
    """

    needs_real = True
    logits_are_log_odds = False
    log_odds_up_to_constant = True  # as of every softmax that finds one side's image among the other's
    decides_at_zero = False

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Return the mean of log(1 + sum_j exp(f_j - r_i)) over i, and of log(1 + sum_i exp(f_j - r_i)) over j."""
        real, fake = real_logits.flatten(), fake_logits.flatten()
        of_real = softplus(fake.logsumexp(0) - real).mean()
        return of_real + softplus(fake + (-real).logsumexp(0)).mean()

    def generator(self, real_logits: Tensor | None, fake_logits: Tensor) -> Tensor:
        """Return the discriminator's loss with real and fake exchanged."""
        assert real_logits is not None  # needs_real
        return self.discriminator(fake_logits, real_logits)
