"""Exports a generator: safetensors + JSON for Python, ONNX for other software."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from gan_lightning.errors import UserError
from gan_lightning.inference.former import FORMAT
from gan_lightning.inference.load import LoadedGenerator
from gan_lightning.inference.read import GENERATOR
from gan_lightning.paths import write_atomically

TOLERANCE = 1e-4  # largest difference between ONNX and PyTorch, images in [-1, 1]; in parts of what goes beyond


def export_generator(
    network: nn.Module, folder: Path | str, description: dict[str, Any], name: str = GENERATOR
) -> Path:
    """Write `folder`/generator.safetensors and generator.json; return the first.

    description: the "gan_lightning" entry of a checkpoint; parts that only training needs are left out.
    name: of the network in the description.
    """
    told = {**description, "network": (description.get("networks") or {}).get(name)}
    if name != GENERATOR:
        told["codes"] = None  # they are the generator's
    return export_safetensors(network, Path(folder) / "generator.safetensors", told)


def export_safetensors(network: nn.Module, path: Path | str, description: dict[str, Any]) -> Path:
    """Write the network's tensors to `path`, and its description to the .json beside it; return `path`."""
    from safetensors.torch import save_file

    names = ("network", "codes", "data", "images_seen", "scores")
    told = {name: description[name] for name in names if name in description}
    text = json.dumps({"format": FORMAT, **told}, indent=2) + "\n"
    tensors = {key: value.detach().cpu().clone().contiguous() for key, value in network.state_dict().items()}
    path = write_atomically(path, lambda temporary: save_file(tensors, temporary))
    write_atomically(path.with_suffix(".json"), lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return path


class _Signature(nn.Module):
    """The generator with its exact inputs: z, and label if there are classes."""

    def __init__(self, network: nn.Module, conditional: bool) -> None:
        super().__init__()
        self.network, self.conditional = network, conditional

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        return self.network(z, label) if self.conditional else self.network(z)


def export_onnx(loaded: LoadedGenerator, path: Path | str) -> Path:
    """Write `path` with inputs z `(batch, latent_dim)` (and label `(batch,)`), output image in [-1, 1]; return it.

    The batch size is free. The file's output is compared with PyTorch's by onnxruntime before the file is renamed to
    `path`. Raises UserError if the ONNX packages are missing or the two differ by more than TOLERANCE.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(f"export=onnx needs the package {error.name}: pip install 'gan-lightning[onnx]'.") from error
    network = _Signature(loaded.network, bool(loaded.num_classes)).eval()
    return write_atomically(path, lambda temporary: _write_and_check(network, loaded, temporary))


def _write_and_check(network: nn.Module, loaded: LoadedGenerator, path: Path) -> None:
    try:
        with _quiet():
            _write(network, loaded, path)
        worst = max(_difference(network, _example(loaded, n), path) for n in (1, 2, 5))
    except OSError:
        raise
    except Exception as error:  # a user's network may use operations that ONNX does not have
        name = type(loaded.network).__name__
        raise UserError(f"{name} cannot be exported to ONNX ({_first_cause(error)}).") from error
    if not worst < TOLERANCE:
        raise UserError(f"The ONNX file differs from PyTorch by {worst:.1e}, more than {TOLERANCE}: it was not kept.")


def _first_cause(error: BaseException) -> str:
    """Return the cause in one line; the exporter's message has pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).partition("\n")[0].rstrip(".")


def _write(network: nn.Module, loaded: LoadedGenerator, path: Path) -> None:
    inputs = _example(loaded, 2)
    batch = torch.export.Dim("batch")
    program = torch.onnx.export(
        _plain(network),
        tuple(inputs.values()),
        input_names=list(inputs),
        output_names=["image"],
        dynamic_shapes=tuple({0: batch} for _ in inputs),
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # as with dynamo=False
    program.model.metadata_props["gan_lightning"] = json.dumps(_notes(loaded))
    program.save(path, external_data=False)


def _plain(network: nn.Module) -> nn.Module:
    """Return `network`, or a copy with its normalised weights if they would be normalised anew for each image."""
    if not any(map(parametrize.is_parametrized, network.modules())):
        return network
    plain = deepcopy(network)
    for module in filter(parametrize.is_parametrized, list(plain.modules())):
        weights = {name: getattr(module, name).detach() for name in module.parametrizations}  # type: ignore[union-attr]
        # remove_parametrizations would change the class, which the copy shares with the original.
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
        for name, weight in weights.items():
            module.register_parameter(name, nn.Parameter(weight, requires_grad=False))
    return plain


def _example(loaded: LoadedGenerator, batch: int) -> dict[str, Tensor]:
    device, stream = loaded.device, torch.Generator().manual_seed(batch)
    inputs = {"z": torch.randn(batch, loaded.network.latent_dim, generator=stream).to(device)}
    if loaded.num_classes:
        inputs["label"] = torch.randint(loaded.num_classes, (batch,), generator=stream).to(device)
    return inputs


def _difference(network: nn.Module, inputs: dict[str, Tensor], path: Path) -> float:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    found = session.run(["image"], {name: value.cpu().numpy() for name, value in inputs.items()})[0]
    with torch.no_grad():
        expected = network(*inputs.values()).cpu()
    return ((torch.from_numpy(found) - expected).abs().max() / expected.abs().max().clamp_min(1)).item()


def _notes(loaded: LoadedGenerator) -> dict[str, Any]:
    distribution = getattr(loaded.network, "latent_distribution", "normal")
    notes = {"latent_distribution": distribution, "image_range": [-1, 1], "class_names": loaded.class_names}
    return {**notes, "images_seen": loaded.images_seen}


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporter's messages; the comparison afterwards finds errors."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
