"""The generator's loss: adversarial, of all fakes or the best ones, and feature matching."""

from __future__ import annotations

from torch import Tensor

from gan_lightning.contracts import Duel, DuelStep
from gan_lightning.errors import UserError
from gan_lightning.losses.adversarial import AdversarialLoss


class GeneratorLoss:
    """The generator's loss, with options. The default is the adversarial loss of all fakes.

    adversarial: weight of the adversarial loss; 0 trains with feature matching only, as in its paper.
    feature_matching: weight of the squared distance between the mean features of real and fake images.
        Salimans et al. 2016, arXiv 1606.03498.
    top_k: share of the fakes that are used, those with the highest logits; 1 uses all. Sinha et al. 2020, arXiv
        2002.06224.
    top_k_decay: the share starts at 1 and is multiplied by this factor each epoch, down to top_k.

    Shares and means are over the rows of one process, so with several processes they differ from those of one.
    """

    def __init__(
        self,
        adversarial: float = 1.0,
        feature_matching: float = 0.0,
        top_k: float = 1.0,
        top_k_decay: float = 0.99,
    ) -> None:
        if min(adversarial, feature_matching) < 0 or adversarial + feature_matching == 0:
            raise UserError(
                f"generator_loss got adversarial={adversarial} and feature_matching={feature_matching}: weights are "
                "at least 0, and one of them is more."
            )
        if not (0 < top_k <= 1 and 0 < top_k_decay <= 1):
            raise UserError(
                f"generator_loss got top_k={top_k} and top_k_decay={top_k_decay}: both are shares above 0, at most 1."
            )
        self.adversarial, self.feature_matching = adversarial, feature_matching
        self.top_k, self.top_k_decay = top_k, top_k_decay

    def check(self, duel: Duel) -> None:
        """Raise UserError for options of the adversarial loss if the head's terms replace it."""
        if duel.head is None or not duel.head.plays_alone:
            return
        for name in ("adversarial", "top_k"):
            if getattr(self, name) != 1:
                raise UserError(
                    f"generator_loss.{name}={getattr(self, name)} is about the adversarial loss, and the terms of "
                    f"{type(duel.head).__name__} take its place: set it to 1, or choose another conditioning."
                )

    def __call__(self, loss: AdversarialLoss | None, step: DuelStep, epoch: int = 0) -> dict[str, Tensor]:
        """Return the weighted terms by name; `loss` is None if the head's terms replace the adversarial loss."""
        terms = {}
        if self.adversarial and loss is not None:
            real = step.real_logits if loss.needs_real else None
            terms["generator"] = self.adversarial * loss.generator(*self.best(real, step.fake_logits, epoch))
        if self.feature_matching:
            real_features, fake_features = step.real_output.features, step.fake_output.features
            terms["feature_matching"] = self.feature_matching * feature_distance(real_features, fake_features)
        return terms

    def best(self, real: Tensor | None, fake: Tensor, epoch: int) -> tuple[Tensor | None, Tensor]:
        """Return the fakes with the highest logits, in their order, and the real ones paired with them."""
        count = max(1, int(len(fake) * max(self.top_k, self.top_k_decay**epoch)))
        if self.top_k == 1 or count == len(fake):
            return real, fake
        rows = fake.detach().flatten(1).mean(1) if fake.ndim > 1 else fake.detach()
        chosen = rows.topk(count).indices.sort().values
        return None if real is None else real[chosen], fake[chosen]


def feature_distance(real: Tensor | None, fake: Tensor | None) -> Tensor:
    """Return the squared distance between the means of features `(N, F)`."""
    if real is None or fake is None:
        raise UserError(
            "generator_loss.feature_matching needs the discriminator's features: let its forward return a "
            "DiscriminatorOutput with features, or set it to 0."
        )
    return (real.detach().mean(0) - fake.mean(0)).square().sum()
