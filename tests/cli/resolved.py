"""What every `model=`, `data=` and `experiment=` resolves to, in plain numbers: resolved.json, which a test compares.

The file was made before the options of optim, regularizer, augment and others got names of their own:
`python -m tests.cli.resolved` writes it anew, which is right only where a recipe is meant to train otherwise.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from gan_lightning.cli.train import train

CONF = Path(__file__).parents[2] / "conf"
KEPT = Path(__file__).with_suffix(".json")
GROUPS = ("loss", "generator_loss", "regularizer", "latents", "augment", "conditioning", "optim", "schedule")
SECTIONS = (*GROUPS, "metrics", "extractor", "callbacks", "model", "data", "evaluation", "run")
OF_THE_RUN = ("seed", "max_epochs", "max_kimg", "log_every", "published")
OF_THE_MACHINE = ("root", "_partial_")  # where files lie; how Hydra calls what it builds
Numbers = dict[str, Any]


def recipes() -> list[str]:
    """Return the command line of every recipe; `model=dcgan data=cifar10` is one without its tuned file for digits."""
    chosen = [f"{group}={file.stem}" for group in ("model", "data", "experiment") for file in options(group)]
    return [*chosen, "model=dcgan data=cifar10"]


def options(group: str) -> list[Path]:
    """Return the files of a group's options."""
    return sorted((CONF / group).glob("*.yaml"))


def resolved(words: str) -> dict[str, Numbers]:
    """Return the numbers of each section of the configuration that a command line makes."""
    return sections(train.compose(words.split()))


def sections(config: DictConfig) -> dict[str, Numbers]:
    """Return the sections of a configuration with all interpolations resolved, each flat: dotted keys, plain values."""
    config.run_dir = "run"
    plain: Any = OmegaConf.to_container(config, resolve=True)
    plain["run"] = {name: plain[name] for name in OF_THE_RUN}
    return {name: dict(flat(plain[name])) for name in SECTIONS}


def flat(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted paths and values of all leaves; of a class only its name, for it may move house.

    What is empty is a value too: a group at its none, a list of no regularisers.
    """
    if not isinstance(node, dict) or not node:
        yield path, node
        return
    for name, child in node.items():
        if name == "_target_":
            yield f"{path}.{name}".lstrip("."), child.rpartition(".")[2]
        elif name not in OF_THE_MACHINE:
            yield from flat(child, f"{path}.{name}".lstrip("."))


def kept() -> dict[str, dict[str, Numbers]]:
    """Return for every recipe of resolved.json the numbers of each section."""
    found: dict[str, dict[str, Numbers]] = {}
    for section, entries in json.loads(KEPT.read_text()).items():
        for entry in entries:
            for recipe in entry["of"]:
                found.setdefault(recipe, {})[section] = entry["numbers"]
    return found


def write(found: dict[str, dict[str, Numbers]]) -> None:
    """Write resolved.json: each distinct set of numbers once, on a line of its own, after the recipes that have it."""
    lines = []
    for section in SECTIONS:
        owners: dict[str, list[str]] = {}
        for recipe, there in found.items():
            owners.setdefault(json.dumps(there[section]), []).append(recipe)
        entries = [f'    {{"of": {json.dumps(of)},\n     "numbers": {numbers}}}' for numbers, of in owners.items()]
        lines.append(f'  "{section}": [\n' + ",\n".join(entries) + "\n  ]")
    KEPT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write({recipe: resolved(recipe) for recipe in recipes()})
