"""Contrastive heads: embeddings of one class are pulled together and classes pushed apart (ContraGAN, ReACGAN).

Each process compares only its own rows of the batch, so with several processes the terms differ from those of one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from gan_lightning.errors import check_range
from gan_lightning.networks.base import DiscriminatorOutput, required
from gan_lightning.networks.heads.base import WeightedHead


class EmbeddingHead(WeightedHead):
    """Base class: an embedding of the image and a proxy for each class, all of norm 1.

    The discriminator's term is computed on real images, the generator's on fakes.

    embedding_dim: dimension of the embeddings.
    """

    needs_labels = True

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        embedding_dim: int = 512,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, discriminator_weight, generator_weight)
        self.embed = nn.Linear(feature_dim, embedding_dim)
        self.proxies = nn.Embedding(num_classes, embedding_dim)

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        """Return the logits `(N,)`, and in extras "embeddings" and the labels' "proxies", unit rows `(N, E)`."""
        output = super().forward(features)
        output.extras["embeddings"] = normalize(self.embed(features))
        output.extras["proxies"] = normalize(self.proxies(required(labels)))
        return output

    def terms(self, output: DiscriminatorOutput, labels: Tensor | None, role: str, real: bool) -> dict[str, Tensor]:
        """Return the contrastive term: of real images for the discriminator, of fakes for the generator."""
        if role == "discriminator" and not real:
            return {}
        embeddings, proxies = output.extras["embeddings"], output.extras["proxies"]
        with torch.autocast(embeddings.device.type, enabled=False):  # margins of 0.02 are lost in half precision
            return {"contrastive": self.contrast(embeddings.float(), proxies.float(), required(labels))}

    def contrast(self, embeddings: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """Return the scalar to minimise, from unit rows `(N, E)` and labels `(N,)`."""
        raise NotImplementedError


class ContraHead(EmbeddingHead):
    """ContraGAN's conditional contrastive loss, 2C. Kang and Park 2020, arXiv 2006.12681.

    temperature: divides the similarities. The paper has 1 for it and for both weights.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        embedding_dim: int = 512,
        temperature: float = 1.0,
        discriminator_weight: float = 1.0,
        generator_weight: float = 1.0,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, embedding_dim, discriminator_weight, generator_weight)
        check_range("conditioning.head", 0, above=True, temperature=temperature)
        self.temperature = temperature

    def contrast(self, embeddings: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """Return the 2C loss."""
        return conditional_contrastive(embeddings, proxies, labels, self.temperature)


class ReACHead(EmbeddingHead):
    """ReACGAN's data-to-data cross-entropy, D2D-CE. Kang et al. 2021, arXiv 2111.01118.

    margin: m_p. A similarity to the own proxy above m_p adds no loss, nor one to other classes' images below 1 - m_p.
    temperature, weights: defaults are the paper's for CIFAR-10.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int = 0,
        bias: bool = True,
        embedding_dim: int = 512,
        temperature: float = 0.5,
        margin: float = 0.98,
        discriminator_weight: float = 0.5,
        generator_weight: float = 0.5,
    ) -> None:
        super().__init__(feature_dim, num_classes, bias, embedding_dim, discriminator_weight, generator_weight)
        check_range("conditioning.head", 0, above=True, temperature=temperature)
        check_range("conditioning.head", 0, 1, margin=margin)
        self.temperature, self.margin = temperature, margin

    def contrast(self, embeddings: Tensor, proxies: Tensor, labels: Tensor) -> Tensor:
        """Return the D2D-CE loss."""
        return data_to_data_cross_entropy(embeddings, proxies, labels, self.temperature, self.margin)


def conditional_contrastive(embeddings: Tensor, proxies: Tensor, labels: Tensor, temperature: float = 1.0) -> Tensor:
    """Return the mean of -log of the own class's share: of own proxy and all others' embeddings. 2006.12681, eq. 8.

    embeddings, proxies: unit rows `(N, E)`; labels `(N,)`.
    """
    proxy, others = _similarities(embeddings, proxies, temperature)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    everyone = torch.cat([proxy, others.masked_fill(itself, -torch.inf)], dim=1)
    strangers = torch.cat([torch.zeros_like(itself[:, :1]), labels[:, None] != labels], dim=1)
    family = everyone.masked_fill(strangers, -torch.inf)
    return (everyone.logsumexp(1) - family.logsumexp(1)).mean()


def data_to_data_cross_entropy(
    embeddings: Tensor, proxies: Tensor, labels: Tensor, temperature: float = 0.5, margin: float = 0.98
) -> Tensor:
    """Return the mean of -log of the own proxy's share, beside the embeddings of other classes. 2111.01118, eq. 7.

    Similarities s enter as min(s - margin, 0) to the proxy and max(s - (1 - margin), 0) to others, over temperature.
    """
    proxy, others = _similarities(embeddings, proxies, 1.0)
    positive = (proxy - margin).clamp(max=0) / temperature
    negative = (others - (1 - margin)).clamp(min=0) / temperature
    negative = negative.masked_fill(labels[:, None] == labels, -torch.inf)
    return (torch.cat([positive, negative], dim=1).logsumexp(1) - positive.squeeze(1)).mean()


def _similarities(embeddings: Tensor, proxies: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Return cosines over temperature, of each row with its proxy `(N, 1)` and with all rows `(N, N)`."""
    proxy = (embeddings * proxies).sum(1, keepdim=True)
    return proxy / temperature, embeddings @ embeddings.T / temperature
