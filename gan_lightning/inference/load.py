"""`gan_lightning.load(path).sample(16)`: use a trained generator without its data, its trainer or a GPU."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, SupportsIndex, cast

import torch
from torch import Tensor, nn

from gan_lightning.data.class_order import class_number
from gan_lightning.errors import UserError
from gan_lightning.inference.density_ratio import check_ratio
from gan_lightning.inference.producers import Samples
from gan_lightning.inference.read import GENERATOR, Stored, read
from gan_lightning.inference.rebuild import build, build_discriminator, fill, load_discriminator
from gan_lightning.inference.sampler import Options, Sampler
from gan_lightning.networks.base import Generator
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.networks.registry import Factory, trust
from gan_lightning.pixels import to_unit

Labels = int | str | Sequence[int | str] | Tensor
Codes = float | Sequence[float | None]


def load(
    path: Path | str,
    trusted: Iterable[Factory | str] = (),
    raw: bool = False,
    device: str | torch.device = "cpu",
    network: str | nn.Module | Mapping[str, nn.Module] | None = GENERATOR,
) -> LoadedGenerator:
    """Return the trained generator at `path`: a checkpoint, an exported generator.safetensors, or a run's folder.

    In a folder, the first existing file of these is used: checkpoints/best.ckpt, checkpoints/last.ckpt,
    generator.safetensors. The file is data and is not executed: it can name only gan_lightning's classes and those in
    `trusted`.

    trusted: your own generator classes that the file may name, or their dotted names, which are then imported.
    raw: load the trained weights, not their moving average.
    device: "cpu", "cuda", "cuda:1", "mps", or "auto" for the fastest available one.
    network: the name of the network to load if the file has several. Or an instance whose weights are loaded, for a
        class that the file cannot describe: the generator, or a dict with its name, {"decoder": MyDecoder()}. Raises
        UserError for a file that is missing, foreign, damaged or not trusted, and for an unknown network name.
    """
    place = choose_device(device)
    name, instance = _name_and_instance(network)
    stored, known = read(path, raw, name), trust(trusted)
    filled = build(stored, known) if instance is None else fill(stored, instance)
    return LoadedGenerator(filled, stored, known, raw).to(place)


def _name_and_instance(network: str | nn.Module | Mapping[str, nn.Module] | None) -> tuple[str, nn.Module | None]:
    if isinstance(network, Mapping) and not isinstance(network, nn.Module):
        if len(network) != 1:
            raise UserError(f"load takes one network, and network={{...}} has {len(network)}: name one.")
        return next(iter(network.items()))
    return (GENERATOR, network) if isinstance(network, nn.Module) else (network or GENERATOR, None)


def choose_device(name: str | torch.device) -> torch.device:
    """Return the torch device called `name` ("auto": the fastest available); raise UserError if it does not exist."""
    if name == "auto":
        return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UserError(f"device={name} cannot be used here: choose device=cpu or device=auto.") from error
    return device


def check_count(name: str, value: int) -> None:
    """Raise UserError unless `value` is a whole number of at least 1."""
    if not isinstance(value, int) or value < 1:
        raise UserError(f"{name}={value} is no count: give a whole number from 1.")


class LoadedGenerator:
    """A trained generator in evaluation mode, with the information in its file.

    network: the nn.Module, z `(N, latent_dim)` -> images `(N, *image_shape)` in [-1, 1].
    config: the resolved configuration of its training, None if the file has none; data only.
    averaged: whether the weights are a moving average; True if the file does not say.
    images_seen: number of real images used in training. scores: of its last evaluation, after `scored_at` images.
    """

    def __init__(
        self, network: nn.Module, stored: Stored, trusted: dict[str, Factory] | None = None, raw: bool = False
    ) -> None:
        lacking = [name for name in ("latent_dim", "num_classes", "image_shape") if not hasattr(network, name)]
        if lacking:
            raise UserError(f"{type(network).__name__} cannot be sampled: it has no attribute {', '.join(lacking)}.")
        self.network = cast(Generator, network)
        codes = self.network.codes = _codes(stored, self.network.latent_dim)
        self.path, self.name, self._trusted = stored.path, stored.name, trusted or {}
        self._samplers: dict[Options, Sampler] = {}
        self.description: dict[str, Any] = {
            **stored.description,
            "network": stored.network,
            "codes": codes and codes.plain(),
        }
        self.config: dict[str, Any] | None = stored.description.get("config")
        model = (self.config or {}).get("model") or {}
        self.averaged = not raw and bool(model.get("ema_kimg", True))
        self.images_seen: int | None = stored.description.get("images_seen")
        self.scores: dict[str, float] = stored.description.get("scores") or {}
        self.scored_at: int | None = stored.description.get("scored_at")
        self.image_shape: tuple[int, ...] = tuple(self.network.image_shape)
        self.num_classes = self.network.num_classes
        names = (stored.description.get("data") or {}).get("class_names")
        self.class_names: list[str] | None = [str(name) for name in names] if names else None

    def sample(
        self,
        n: int,
        seed: int = 0,
        labels: Labels | None = None,
        batch_size: int = 64,
        codes: Codes | None = None,
        **options: Any,
    ) -> Tensor:
        """Return `n` images `(n, C, H, W)`, float32 in [0, 1], on this generator's device; 2-D points are as they are.

        The first samples of a seed are the same for any n and batch_size (up to rounding errors).
        labels: a class name or number for all, or `n` of them, see `class_number`; None draws classes uniformly.
        codes: for InfoGAN, a number for each code, categories first; None, or missing at the end: drawn at random.
        options: truncation=0.7, standing_batches=16, rejection=True, langevin_steps=100, mix_seed=1: see Options.
        """
        check_count("n", n)
        images = self.generate(0, n, seed, labels, batch_size, codes, **options)
        return to_unit(images) if len(self.image_shape) == 3 else images.float()

    def generate(
        self,
        start: int,
        stop: int,
        seed: int = 0,
        labels: Labels | None = None,
        batch_size: int = 64,
        codes: Codes | None = None,
        **options: Any,
    ) -> Tensor:
        """Return samples number [start, stop) of stream `seed`: `(stop - start, *image_shape)` in [-1, 1].

        options: see Options.
        """
        check_count("batch_size", batch_size)
        chosen = self.class_labels(labels, stop - start)
        fixed = self.code_values(codes, stop - start)
        return self.producer(seed, batch_size, **options)(start, stop, chosen, fixed)["images"]

    def producer(self, seed: int = 0, batch_size: int = 64, **options: Any) -> Samples:
        """Return a Producer of the samples of stream `seed`, for an Evaluator; options: see Options."""
        draw = self.sampler(**options).generate if options else None
        return Samples(self.network, seed, batch_size, draw, self.averaged)

    def sampler(self, **options: Any) -> Sampler:
        """Return the Sampler with these Options, which is cached. Raises UserError for impossible options."""
        chosen = Options(**options)
        if chosen not in self._samplers:
            chosen.check(self.network)
            judge = self._judge_of_samples() if chosen.needs_discriminator else None
            self._samplers[chosen] = Sampler(self.network, chosen, judge)
        return self._samplers[chosen]

    def _judge_of_samples(self) -> nn.Module:
        judge = load_discriminator(self.path, self._trusted, self.name)
        check_ratio(judge, self.config, self._trusted, self.path)
        return judge.to(self.device)

    def discriminator(self) -> nn.Module | None:
        """Return the discriminator in the file; None if there is none that can be built."""
        try:
            return build_discriminator(self.path, self._trusted, self.name).to(self.device)
        except UserError:
            return None

    def code_values(self, codes: Codes | None, count: int) -> Tensor | None:
        """Return `codes` as float `(count, codes)`, NaN for codes that are drawn; None stays None."""
        if codes is None:
            return None
        if self.network.codes is None:
            raise UserError(f"Codes were given, but the generator in {self.path} has none: leave them out.")
        return self.network.codes.values(codes, count)

    def class_labels(self, labels: Labels | None, count: int) -> Tensor | None:
        """Return `labels` as int64 `(count,)`, names resolved, one label repeated; None stays None.

        A tensor has numbers, all else what `class_number` takes.
        """
        if labels is None:
            return None
        if not self.num_classes:
            raise UserError(f"Labels were given, but the generator in {self.path} has no classes: leave them out.")
        if isinstance(labels, Tensor):  # of numbers, as networks take them
            numbers = [self._checked_number(label) for label in labels.flatten().tolist()]
            many = numbers if labels.ndim else numbers * count
        elif isinstance(labels, Iterable) and not isinstance(labels, str):
            many = [self.class_number(label) for label in labels]
        else:
            many = [self.class_number(labels)] * count
        if len(many) != count:
            raise UserError(f"There are {len(many)} labels for {count} samples: give one, or one for each.")
        return torch.tensor(many, dtype=torch.int64)

    def class_number(self, label: int | str) -> int:
        """Return the number of the class that `label` means: a name first, then a number; see data.class_order.

        The same word means the same class here and in `generate.py label=`.
        """
        if not isinstance(label, str):
            self._check_whole(label)
            label = int(label)
        return class_number(label, self.class_names, self.num_classes)

    def class_text(self, number: int) -> str:
        """Return which class `number` is, such as "class 2 of 11: 'cat'"."""
        name = f": {self.class_names[number]!r}" if self.class_names else ""
        return f"class {number} of {self.num_classes}{name}"

    def _checked_number(self, label: int) -> int:
        self._check_whole(label)
        if not 0 <= label < self.num_classes:
            raise UserError(f"There is no class {label}: the generator knows 0 to {self.num_classes - 1}.")
        return label

    def _check_whole(self, label: Any) -> None:
        if isinstance(label, bool) or not isinstance(label, SupportsIndex):  # NumPy's integers have it
            raise UserError(f"label={label} is no class: give a whole number from 0 to {self.num_classes - 1}.")

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.network.parameters()).device

    def to(self, device: str | torch.device) -> Self:
        """Move to `device` and return itself."""
        self.network.to(choose_device(device))
        self._samplers.clear()
        return self

    def __repr__(self) -> str:
        parts = [type(self.network).__name__, "x".join(map(str, self.image_shape))]
        parts += [f"{self.num_classes} classes"] if self.num_classes else []
        parts += [f"{self.images_seen} images seen"] if self.images_seen is not None else []
        when = "" if self.scored_at in (None, self.images_seen) else f" after {self.scored_at}"
        parts += [f"{name} {value:.4g}{when}" for name, value in self.scores.items()]
        return f"LoadedGenerator({', '.join(parts)}, from {self.path}, on {self.device})"


def _codes(stored: Stored, latent_dim: int) -> LatentCodes | None:
    """Return the generator's codes as described in the file, which is untrusted data."""
    told = stored.description.get("codes") if stored.name == GENERATOR else None
    if told is None:
        return None
    try:
        codes = LatentCodes(**told)
        codes.check(latent_dim)
        return codes
    except (TypeError, UserError) as error:
        raise UserError(f"{stored.path} is corrupt: its entry 'codes' cannot be read ({error}).") from error
