"""Configurations of old runs are read with the keys that their objects have today."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from gan_lightning.cli.former_options import translated
from gan_lightning.cli.train import train


def test_a_key_is_renamed_where_its_object_is_built_and_nowhere_else() -> None:
    old = {"_target_": "gan_lightning.regularizers.Orthogonal", "player": "discriminator", "weight": 1.0}
    other = {"_target_": "mine.Penalty", "player": "discriminator"}
    new = translated({"regularizer": {"orthogonal": old, "mine": other}, "list": [old]})
    assert new["regularizer"]["orthogonal"]["role"] == "discriminator" and "player" not in new["list"][0]
    assert new["regularizer"]["mine"] == other


@pytest.mark.slow
def test_an_old_run_with_such_a_key_goes_on(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ["data.image_size=8", "data.batch_size=32", "regularizer=[orthogonal]", "metrics=[]", "logger=[csv]"]
    words += ["model.generator.width=4", "model.discriminator.backbone.width=4", "callbacks=[checkpoint]"]
    train([*words, "trainer=cpu", "trainer.limit_train_batches=2", "max_epochs=1", f"run_dir={run}"])
    for path in (run / "config.yaml", run / ".hydra/config.yaml"):
        if path.exists():
            config = OmegaConf.load(path)
            config.regularizer.orthogonal.player = config.regularizer.orthogonal.pop("role")
            OmegaConf.save(config, path)
    assert train([f"resume={run}", "max_epochs=2"])["images_seen"] == 4 * 32
    assert "role: generator" in (run / "config.yaml").read_text()
