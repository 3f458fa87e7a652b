"""A game gets from the groups what its constructor takes; what it does not take is refused where it was chosen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gan_lightning.cli.train import train
from gan_lightning.errors import UserError

GAME = """
from gan_lightning import GAN


class Plain(GAN):
    def __init__(self, generator, discriminator, generator_optimizer, discriminator_optimizer, seed=0, log_every=20):
        given = {"generator_optimizer": generator_optimizer, "discriminator_optimizer": discriminator_optimizer}
        super().__init__(generator, discriminator, **given, seed=seed, log_every=log_every)
"""
MODEL = """# @package _global_
# A game without losses, penalties or augmentations to choose.
model:
  _target_: plain_game.Plain
  generator: {_target_: gan_lightning.networks.MLPGenerator, image_size: 8, channels: 1, hidden: [8]}
  discriminator:
    _target_: gan_lightning.networks.Discriminator
    backbone: {_target_: gan_lightning.networks.MLPBackbone, image_size: 8, channels: 1, hidden: [8]}
"""
REFUSED = {
    "loss=hinge": "loss has no effect on Plain, which takes none: leave loss out, or choose another model.",
    "generator_loss=top_k": "generator_loss has no effect on Plain",
    "regularizer=[r1]": "use regularizer=[], or choose another model",
    "augment=diffaugment": "use augment=none, or",
    "latents=optimized": "use latents=drawn, or",
    "schedule=cosine": "use schedule=constant, or",
}


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "plain_game.py").write_text(GAME)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/plain.yaml").write_text(MODEL)
    given: list[Any] = [
        "model=plain",
        "data=digits",
        "data.image_size=8",
        "data.batch_size=8",
        "metrics=[]",
        "logger=[csv]",
    ]
    given += [f"hydra.searchpath=[file://{tmp_path}/conf]", "callbacks=[nan_guard]", "trainer=cpu", "max_epochs=1"]
    return [*given, "trainer.limit_train_batches=2", f"run_dir={tmp_path}/run"]


def test_a_game_gets_what_it_takes(words: list[str]) -> None:
    assert train(words)["images_seen"] == 16


@pytest.mark.parametrize("choice", REFUSED)
def test_a_group_that_the_game_would_ignore_is_refused(words: list[str], choice: str) -> None:
    with pytest.raises(UserError) as caught:
        train([*words, choice])
    assert REFUSED[choice] in str(caught.value)
