"""Features of Inception-v3 as used in published scores: torch-fidelity's port of the TensorFlow network of 2015."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.metrics.base import Extractor
from gan_lightning.paths import sha256

FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256_PREFIX = "6726825d"
URL = f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}"


class Inception(Extractor):
    """2,048 pooled features and 1,008 logits without bias, after TensorFlow 1's bilinear resize to 299 x 299.

    weights: a file of the user's; None uses PyTorch's hub folder and downloads 96 MB on first use. Weights whose
    SHA-256 is not the published one are accepted, and their scores are marked `[unverified]`. Grey images become RGB.
    """

    name = "inception"
    resize = "TensorFlow's bilinear to 299"
    feature_dim = 2048
    num_classes = 1008
    chunk = 64

    def __init__(self, weights: str | None = None) -> None:
        self.weights = weights
        self.suffix = ""
        self.fingerprint = ""  # known after the weights are read

    def check(self, data: Any = None) -> None:
        """Find or download the weights and read them; UserError says what is missing or wrong."""
        if not self.fingerprint:
            path = self.locate()
            digest = sha256(path)
            self.suffix = "" if digest.startswith(SHA256_PREFIX) else "[unverified]"
            self.network = _build(_read(path), path)
            self.fingerprint = f"inception-tf1-bilinear-{digest[:16]}"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, 2048)` and logits `(N, 1008)`."""
        self.check_channels(images, "Inception")
        with _full_precision():
            return self.network(images.expand(-1, 3, -1, -1))

    @staticmethod
    def file() -> Path:
        """Return where the published weights are kept after a download."""
        return Path(torch.hub.get_dir()) / "checkpoints" / FILE

    def locate(self) -> Path:
        """Return the file of weights, downloaded if it is not there; UserError if that is impossible."""
        if self.weights is not None:
            path = Path(self.weights).expanduser()
            if not path.is_file():
                raise UserError(f"extractor.weights={path} is not a file: give the path of {FILE}.")
            return path
        path = self.file()
        return path if path.is_file() else _download(path)


def _download(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=SHA256_PREFIX)
    except (OSError, RuntimeError) as error:  # no network, no room, a broken download
        raise UserError(
            f"Inception's weights are not at {path} and cannot be downloaded from {URL} ({error}): put the file there, "
            "give extractor.weights=PATH, or train without scores by metrics=[]. extractor=lite needs no download: its "
            "weights come with a package."
        ) from error
    return path


def _read(path: Path) -> dict[str, Tensor]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise _foreign(path) from error
    if not isinstance(state, dict):
        raise _foreign(path)
    return state


def _build(state: dict[str, Tensor], path: Path) -> nn.Module:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    buffer = io.BytesIO()  # the class unpickles its file: give it only tensors that were read safely
    torch.save(state, buffer)
    buffer.seek(0)
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights, overwritten at once, draw random numbers
            return FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], buffer)
    except (RuntimeError, AttributeError) as error:
        raise _foreign(path) from error


def _foreign(path: Path) -> UserError:
    return UserError(
        f"{path} does not hold the weights of torch-fidelity's Inception-v3: replace it by {FILE} from {URL}, give "
        "extractor.weights=PATH, or use metrics=[]."
    )


@contextmanager
def _full_precision() -> Iterator[None]:
    """Switch TF32 convolutions off, so that scores are the same on every device."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before
