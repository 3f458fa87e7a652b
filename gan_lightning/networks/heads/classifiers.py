"""Heads with a classifier beside the logit: AC-GAN, TAC-GAN and ADC-GAN."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gan_lightning.networks.base import DiscriminatorOutput, required
from gan_lightning.networks.heads.base import WeightedHead


class AuxiliaryClassifierHead(WeightedHead):
    """AC-GAN: both roles minimise the cross-entropy of the class. Odena et al. 2016, arXiv 1610.09585.

    discriminator_weight, generator_weight: of the cross-entropies; WGAN-GP's are 1 and 0.1 (1704.00028).
    classify_fakes: whether the classifier learns from fakes as well, as in the paper.
    """

    needs_labels = True

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
        classify_fakes: bool = True,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, discriminator_weight, generator_weight)
        self.classifier = nn.Linear(feature_dim, num_classes)
        self.classify_fakes = classify_fakes

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)`, and in extras "classes", the classifier's logits `(N, K)`."""
        output = super().forward(features)
        output.extras["classes"] = self.classifier(features)
        return output

    def terms(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the cross-entropy of the classes."""
        if role == "discriminator" and not real and not self.classify_fakes:
            return {}
        return {"classification": cross_entropy(output.extras["classes"], required(labels))}


class TwinAuxiliaryClassifierHead(AuxiliaryClassifierHead):
    """TAC-GAN: a second classifier is trained on fakes only, and the generator works against it. 1907.02690.

    Gong et al. 2019. If both classifiers are optimal, the generator's terms are KL(Q(y|x) || P(y|x)), so samples that
    are easy to classify are no longer favoured.

    classify_fakes: whether the first classifier learns from fakes as well.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
        classify_fakes: bool = False,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, discriminator_weight, generator_weight, classify_fakes)
        self.twin = nn.Linear(feature_dim, num_classes)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)`, and in extras "classes" and "twin" `(N, K)`."""
        output = super().forward(features)
        output.extras["twin"] = self.twin(features)
        return output

    def terms(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the classifier's cross-entropy, and for fakes the twin's, which D minimises and G maximises."""
        terms = super().terms(output, labels, role, real)
        if real:
            return terms
        twin = cross_entropy(output.extras["twin"], required(labels))
        return terms | {"twin": twin if role == "discriminator" else -twin}


class DiscriminativeClassifierHead(WeightedHead):
    """ADC-GAN: a classifier of 2K classes, K real and K fake ones. Hou et al. 2022, arXiv 2107.10060.

    The generator maximises the log-probability of the real class minus that of the fake class.
    """

    needs_labels = True

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, discriminator_weight, generator_weight)
        self.classifier = nn.Linear(feature_dim, 2 * num_classes)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)`, and in extras "classes" `(N, 2K)`: the K real classes, then the K fake ones."""
        output = super().forward(features)
        output.extras["classes"] = self.classifier(features)
        return output

    def terms(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the cross-entropy of the discriminative classes, for the generator the difference of two."""
        classes, label = output.extras["classes"], required(labels)
        as_real, as_fake = label, label + classes.shape[1] // 2
        if role == "discriminator":
            return {"classification": cross_entropy(classes, as_real if real else as_fake)}
        return {"classification": cross_entropy(classes, as_real) - cross_entropy(classes, as_fake)}
