"""What a command imports: nothing heavy to answer a question or a mistake, and no logger that is not used."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import ROOT, run

HEAVY = ("torch", "lightning", "matplotlib", "sklearn", "wandb", "tensorboard", "onnx", "torchmetrics", "rich")
CODE = """
import sys
sys.path.insert(0, {root!r})
sys.argv = ["train.py", *{words!r}]
from gan_lightning.cli.{command} import main
try:
    main()
except SystemExit as ended:
    print("status", ended.code)
print("imported", *(name for name in {heavy!r} if name in sys.modules))
"""


def imported(command: str, words: list[str], heavy: tuple[str, ...], folder: Path) -> tuple[str, list[str]]:
    """Return what a command printed, and which of `heavy` it imported."""
    code = CODE.format(root=str(ROOT), words=words, command=command, heavy=heavy)
    ended = run(["-c", code], folder)
    *printed, last = ended.stdout.splitlines()
    return "\n".join(printed) + ended.stderr, last.split()[1:]


@pytest.mark.parametrize("command", ["train", "evaluate", "generate"])
@pytest.mark.parametrize(("word", "said"), [("--help", "python "), ("optim.lrr=1", "There is no option optim.lrr")])
def test_help_and_mistakes_import_nothing_heavy(command: str, word: str, said: str, tmp_path: Path) -> None:
    printed, found = imported(command, [word], HEAVY, tmp_path)
    assert said in printed and found == []


@pytest.mark.parametrize("words", [["model=dcgann"], ["resume=/nowhere"], ["--cfg", "job"]])
def test_other_questions_import_nothing_heavy_either(words: list[str], tmp_path: Path) -> None:
    assert imported("train", words, HEAVY, tmp_path)[1] == []


@pytest.mark.slow
def test_training_imports_only_what_it_uses(tmp_path: Path) -> None:
    words = ["logger=[csv]", "callbacks=[nan_guard,throughput,limit,checkpoint]", "metrics=[]", "trainer=cpu"]
    words += ["data=digits", "data.image_size=8", "model.generator.width=4", "max_kimg=0.064", "run_dir=run"]
    # Lightning itself imports torchmetrics, and that pyplot and torch_fidelity.
    unused = ("wandb", "tensorboard", "onnx", "onnxruntime", "tensorflow", "optuna")
    printed, found = imported("train", words, unused, tmp_path)
    assert "generator.safetensors" in printed and found == []
