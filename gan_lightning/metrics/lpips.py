"""LPIPS, a learned distance between images; here between generated images, as a measure of diversity."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Setting
from gan_lightning.metrics.image_pairs import PairMetric
from gan_lightning.metrics.weights import fetched

Backbone = Literal["alex", "vgg", "squeeze"]
BACKBONES = {"alex": "AlexNet_Weights", "vgg": "VGG16_Weights", "squeeze": "SqueezeNet1_1_Weights"}
SMALLEST = 64  # pixels: AlexNet's feature maps are empty below this


class LPIPS(nn.Module):
    """Distance of images in the features of a classifier (Zhang et al. 2018, arXiv 1801.03924), torchmetrics' network.

    The learned weights of the features are part of torchmetrics. The weights of the backbone are downloaded from
    torchvision's address: 233 MB for alex, 528 MB for vgg, 5 MB for squeeze. Images of less than 64 pixels are enlarged
    to 64.

    metric: the metric's key in the configuration, for errors.
    """

    def __init__(self, net: Backbone, metric: str) -> None:
        super().__init__()
        if net not in BACKBONES:
            raise UserError(f"metrics.{metric}.net={net} is not known: choose alex, vgg or squeeze.")
        self.network = _network(net, torch.hub.get_dir())

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return distances `(N,)` between two batches `(N, C, H, W)`, float in [-1, 1] with 1 or 3 channels."""
        return self.network(_fitting(first), _fitting(second)).flatten()


class LPIPSDiversity(PairMetric):
    """Mean LPIPS of random pairs of samples; higher means more diverse, 0 means that all are the same.

    Compare it with the value of real images. pairs: largest number of pairs. net: alex, vgg or squeeze; see LPIPS.
    """

    names: ClassVar[tuple[str, ...]] = ("lpips",)

    def __init__(self, setting: Setting, pairs: int = 5000, net: Backbone = "alex") -> None:
        super().__init__(setting, pairs)
        check_images(setting, self.names[0])
        self.distance = LPIPS(net, self.names[0])

    def measure(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance `(n,)` of each pair of uint8 images `(n, C, H, W)`."""
        return self.distance.to(first.device)(first.float() / 127.5 - 1, second.float() / 127.5 - 1)


class IntraLPIPS(LPIPSDiversity):
    """Mean LPIPS of pairs within classes, for samples with class labels."""

    consumes: ClassVar[tuple[str, ...]] = ("images", "labels")
    names: ClassVar[tuple[str, ...]] = ("intra_lpips",)


def check_images(setting: Setting, metric: str) -> None:
    """Raise UserError if samples are not grey or colour images."""
    if len(setting.image_shape) != 3 or setting.image_shape[0] not in (1, 3):
        raise UserError(
            f"metrics=[{metric}] takes images with 1 or 3 channels, and data={setting.data} has samples of shape "
            f"{setting.image_shape}: leave it out."
        )


def _fitting(images: Tensor) -> Tensor:
    """Return RGB images of at least 64 pixels."""
    images = images.expand(-1, 3, -1, -1)
    side = min(images.shape[-2:])
    if side >= SMALLEST:
        return images
    size = [round(length * SMALLEST / side) for length in images.shape[-2:]]
    return functional.interpolate(images, size, mode="bilinear", align_corners=False)


@cache
def _network(net: Backbone, folder: str) -> nn.Module:
    """Return torchmetrics' network with the weights from the hub's `folder`; read once for all metrics."""
    import torchvision
    from torchmetrics.image import LearnedPerceptualImagePatchSimilarity

    url: Any = getattr(torchvision.models, BACKBONES[net]).DEFAULT.url
    hash_prefix = url.rpartition("-")[2].partition(".")[0]
    path = fetched(url, hash_prefix, f"the weights of LPIPS ({net})", "leave out the metrics that use LPIPS")
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights, overwritten at once, draw random numbers
            return LearnedPerceptualImagePatchSimilarity(net).net
    except (RuntimeError, EOFError, ValueError, AttributeError) as error:
        raise UserError(f"{path} does not hold the weights of {net}: replace it by the file from {url}.") from error
