"""Features of EfficientNet-Lite0, trained on ImageNet, which are installed with a package and need no network."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gan_lightning.metrics.base import Extractor
from gan_lightning.metrics.distances import full_precision
from gan_lightning.metrics.pretrained import full_convolutions, resized
from gan_lightning.networks.efficientnet_lite import VERSIONS, classifier

SIDE = 128  # pixels; at 96 JPEG's damage to images of 128 is half lost, 160 costs 1.7 times as much (docs/scores.md)


class Lite(Extractor):
    """1,280 pooled features and 1,000 logits of EfficientNet-Lite0; images of any shape become 128 x 128 pixels.

    Scores are marked `[lite]`: they do not compare with published ones, which are Inception's. Grey images become RGB.
    Raises UserError if the extra `lite` is not installed, or if the file of weights is not the published one.
    """

    name = "lite"
    suffix = "[lite]"
    resize = f"antialiased bicubic to {SIDE}"
    feature_dim = 1280
    num_classes = 1000
    chunk = 64

    def __init__(self) -> None:
        self.fingerprint = ""  # known after the weights are read

    def check(self, data: Any = None) -> None:
        """Read the weights."""
        if not self.fingerprint:
            self.network = classifier("lite0")
            self.fingerprint = f"lite-bicubic-{SIDE}-{VERSIONS['lite0'].sha256[:16]}"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, 1280)` and logits `(N, 1000)`."""
        self.check_channels(images, "extractor=lite")
        network: Any = self.network
        with full_precision(), full_convolutions():
            features = network.global_pool(network.forward_features(resized(images, SIDE) / 127.5 - 1))
            return features, network.classifier(features)
