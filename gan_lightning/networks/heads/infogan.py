"""InfoGAN's head: Q predicts the codes from the fakes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gan_lightning.networks.base import DiscriminatorOutput
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.networks.heads.base import WeightedHead


class InfoHead(WeightedHead):
    """Both roles maximise log Q(c | G(z, c)), a lower bound of the mutual information. Chen et al. 2016, 1606.03657.

    Q shares the backbone. Its own layers (linear, batch norm, leaky ReLU, linear) are updated in both roles' steps.

    categories, continuous: the codes, see LatentCodes; they are the last of the generator's latents.
    width: of Q's hidden layer; 128 in the authors' MNIST network.
    fixed_std: whether Q's distribution of continuous codes has standard deviation 1; else Q predicts it.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        categories: Sequence[int] = (10,),
        continuous: int = 2,
        width: int = 128,
        fixed_std: bool = True,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, discriminator_weight, generator_weight)
        self.codes: LatentCodes = LatentCodes(tuple(categories), continuous)
        self.fixed_std = fixed_std
        outputs = self.codes.size + (0 if fixed_std else continuous)
        self.q = nn.Sequential(
            nn.Linear(feature_dim, width), nn.BatchNorm1d(width), nn.LeakyReLU(0.1), nn.Linear(width, outputs)
        )

    def generator_parameters(self) -> Iterable[nn.Parameter]:
        """Return Q's own parameters."""
        return self.q.parameters()

    def terms(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return -log Q of the fakes' codes: "categories" and "continuous", each summed over its codes."""
        if real:
            return {}
        answers = self.q(output.features)
        values = self.codes.read(output.extras["latents"].detach())  # optimized latents (LOGAN) have a graph
        discrete, free = len(self.codes.categories), self.codes.continuous
        terms = {}
        if discrete:
            logits = answers[:, : sum(self.codes.categories)].split(self.codes.categories, dim=1)
            told = [cross_entropy(part, values[:, i].long()) for i, part in enumerate(logits)]
            terms["categories"] = torch.stack(told).sum()
        if free:
            mean = answers[:, sum(self.codes.categories) :][:, :free]
            log_std = torch.zeros_like(mean) if self.fixed_std else answers[:, -free:]
            terms["continuous"] = gaussian_nll(mean, log_std, values[:, discrete:])
        return terms


def gaussian_nll(mean: Tensor, log_std: Tensor, values: Tensor) -> Tensor:
    """Return -log N(values; mean, std) of `(N, C)`, summed over C, mean over N; at least 0.918939 C for std 1."""
    deviations = (values - mean) * torch.exp(-log_std)
    return (deviations.square() / 2 + log_std + math.log(2 * math.pi) / 2).sum(1).mean()
