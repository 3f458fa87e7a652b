"""What `train.py` leaves behind and says: it can be typed as it stands, and taken up again."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from gan_lightning.cli.generate import generate
from gan_lightning.cli.train import train
from gan_lightning.errors import UserError

SHORT = [
    "trainer=cpu",
    "trainer.limit_train_batches=1",
    "metrics=[]",
    "callbacks=[limit,checkpoint]",
    "logger=[]",
    "model.generator.width=4",
    "max_epochs=2",
]


@pytest.mark.parametrize(("data", "ending"), [("ring", ".csv"), ("digits", ".png")])
@pytest.mark.parametrize("folder", ["run", "a run=1, of mine"])
def test_the_command_for_more_samples_works_as_printed(
    folder: str,
    data: str,
    ending: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    train([*SHORT, f"data={data}", "data.batch_size=64", f"run_dir='{tmp_path}/{folder}'"])
    words = re.search(r"^more samples: +\S+(?: \S+\.py)? (\S*ckpt=.*)$", capsys.readouterr().out, re.MULTILINE)
    assert words is not None
    generate(shlex.split(words[1]))
    assert (tmp_path / f"samples{ending}").stat().st_size > 0


def test_fewer_epochs_than_are_trained_are_refused_and_leave_the_run_as_it_was(tmp_path: Path) -> None:
    train([*SHORT, "data=ring", f"run_dir={tmp_path}"])
    before = (tmp_path / "config.yaml").read_text()
    with pytest.raises(UserError, match="max_epochs=1 is less than the 2 epochs that are trained already: give more"):
        train([f"resume={tmp_path}", "max_epochs=1"])
    assert (tmp_path / "config.yaml").read_text() == before
    assert train([f"resume={tmp_path}", "max_epochs=3"])["images_seen"] == 3 * 512
