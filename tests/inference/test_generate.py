"""The command: files hold the samples, nothing is overwritten unasked, and mistakes are one sentence."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from gan_lightning.cli.generate import generate
from gan_lightning.errors import UserError
from gan_lightning.inference.load import load
from gan_lightning.networks.dcgan import DCGANGenerator
from gan_lightning.networks.mlp2d import MLP2dGenerator
from gan_lightning.pixels import to_uint8

CONF = Path(__file__).parents[2] / "conf"
Make = Callable[..., Any]
Save = Callable[..., Path]


def run(*overrides: str) -> Path:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return generate(compose("generate", list(overrides)))


@pytest.fixture
def ckpt(
    network: DCGANGenerator, saved: Save, checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    return saved(checkpoint(network, data={"class_names": ["ant", "bee", "cat"]}), "run/checkpoints/last.ckpt")


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_a_folder_holds_exactly_the_samples(ckpt: Path, tmp_path: Path) -> None:
    out = run(f"ckpt={tmp_path / 'run'}", "n=5", "seed=3", "batch_size=2", "out=some/folder")
    assert sorted(path.name for path in out.iterdir()) == [f"0000{i}.png" for i in range(5)]
    expected = to_uint8(load(ckpt).generate(0, 5, 3))
    found = np.stack([pixels(path) for path in sorted(out.iterdir())])
    assert np.abs(found.astype(int) - expected[:, 0].numpy()).max() <= 1  # a float may round the other way


def test_a_png_is_one_grid(ckpt: Path) -> None:
    assert Image.open(run(f"ckpt={ckpt}", "n=9", "out=grid.png")).size == (32, 32)


def test_label_all_has_a_column_for_each_class(ckpt: Path) -> None:
    out = run(f"ckpt={ckpt}", "n=6", "label=all", "out=all.png")
    expected = to_uint8(load(ckpt).generate(0, 6, 0, [0, 1, 2, 0, 1, 2]))[4, 0]  # second row, second column
    assert np.array_equal(pixels(out)[12:20, 12:20], expected)


@pytest.mark.parametrize("label", ["1", "bee"])
def test_one_label(ckpt: Path, label: str) -> None:
    out = run(f"ckpt={ckpt}", "n=1", f"label={label}", "out=one")
    assert np.array_equal(pixels(out / "00000.png"), to_uint8(load(ckpt).generate(0, 1, 0, 1))[0, 0])


def test_without_out_it_takes_a_free_name_and_prints_it(ckpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [run(f"ckpt={ckpt}", "n=1").name for _ in range(3)] == ["generated", "generated-2", "generated-3"]
    assert str(Path("generated-3").resolve()) in capsys.readouterr().out


def test_nothing_is_replaced_unasked(ckpt: Path, tmp_path: Path) -> None:
    run(f"ckpt={ckpt}", "n=2", "out=folder")
    before = (tmp_path / "folder/00000.png").read_bytes()
    with pytest.raises(UserError, match=r"folder is there already.*overwrite=true"):
        run(f"ckpt={ckpt}", "n=2", "seed=9", "out=folder")
    assert (tmp_path / "folder/00000.png").read_bytes() == before
    run(f"ckpt={ckpt}", "n=2", "seed=9", "out=folder", "overwrite=true")
    assert (tmp_path / "folder/00000.png").read_bytes() != before


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_points(saved: Save, checkpoint: Make, weathered: Make, tmp_path: Path, suffix: str) -> None:
    ckpt = saved(checkpoint(weathered(MLP2dGenerator(width=8))))
    out = run(f"ckpt={ckpt}", "n=7", f"out={tmp_path}/points{suffix}")
    found = np.load(out) if suffix == ".npy" else np.loadtxt(out, delimiter=",", skiprows=1)
    assert np.allclose(found, load(ckpt).sample(7).numpy(), rtol=1e-6, atol=1e-7)
    with pytest.raises(UserError, match="makes points, not images"):
        run(f"ckpt={ckpt}", f"out={tmp_path}/points")


def test_exports(ckpt: Path, tmp_path: Path) -> None:
    path = run(f"ckpt={ckpt}", "export=safetensors", "out=shared")
    assert path == Path("shared/generator.safetensors")
    assert torch.equal(load(path).sample(4), load(ckpt).sample(4))
    assert load(path).class_names == ["ant", "bee", "cat"]
    assert run(f"ckpt={ckpt}", "export=onnx", "out=model.onnx").stat().st_size > 1000
    with pytest.raises(UserError, match=r"model.onnx is there already"):
        run(f"ckpt={ckpt}", "export=onnx", "out=model.onnx")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("ckpt=null", "ckpt is missing"),
        ("n=0", "n=0 is no count"),
        ("n=2.5", "n=2.5 is no count"),
        ("batch_size=0", "batch_size=0 is no count"),
        ("label=3", "no class 3"),
        ("label=wasp", "no class called 'wasp': choose one of"),
        ("export=onx", "export=onx is not known: choose one of 'onnx'"),
        ("out=x.gif", "x.gif is no known kind"),
        ("device=toaster", "device=toaster"),
        ("trusted=[nowhere.Net]", "nowhere.Net cannot be imported"),
        ("out=run/checkpoints/last.ckpt/x", "cannot be written"),
        ("out=/proc/generated", "cannot be written"),
        ("out=/proc/generated.png", "cannot be written"),
    ],
)
def test_mistakes(ckpt: Path, override: str, words: str) -> None:
    files = sorted(path for path, _, _ in os.walk("."))
    with pytest.raises(UserError, match=words):
        run(f"ckpt={ckpt}", "n=2", override)
    assert files == sorted(path for path, _, _ in os.walk("."))


def test_trusted_names_on_the_command_line(
    saved: Save, checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "workbench.py").write_text(
        "from gan_lightning.networks.dcgan import DCGANGenerator\nclass Mine(DCGANGenerator): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import workbench

    ckpt = saved(checkpoint(workbench.Mine(8, 1, latent_dim=4, width=4)))
    with pytest.raises(UserError, match=r"trusted=\[workbench.Mine\]"):
        run(f"ckpt={ckpt}", f"out={tmp_path}/a.png")
    assert run(f"ckpt={ckpt}", f"out={tmp_path}/a.png", "trusted=[workbench.Mine]").is_file()


def test_the_command_takes_the_options_of_sampling(ckpt: Path) -> None:
    out = run(f"ckpt={ckpt}", "n=3", "truncation=0.4", "standing_batches=2", "out=options")
    expected = to_uint8(load(ckpt).generate(0, 3, truncation=0.4, standing_batches=2))
    found = np.stack([pixels(path) for path in sorted(out.iterdir())])
    assert np.abs(found.astype(int) - expected[:, 0].numpy()).max() <= 1
    assert np.abs(found.astype(int) - to_uint8(load(ckpt).generate(0, 3))[:, 0].numpy()).max() > 1


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("truncation=wide", "truncation=wide is not possible: it is a number"),
        ("truncation=-1", "truncation=-1 is out of range"),
        ("standing_batches=1.5", "standing_batches=1.5 is not possible"),
        ("rejection=true", "has no discriminator that can be built again"),
        ("mix_seed=3", "DCGANGenerator has no styles"),
    ],
)
def test_impossible_options_of_sampling_come_before_files(ckpt: Path, override: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        run(f"ckpt={ckpt}", "out=none", override)
    assert not Path("none").exists()


def test_an_export_takes_no_options_of_sampling(ckpt: Path) -> None:
    with pytest.raises(UserError, match="export=onnx writes the generator as it is: leave out truncation"):
        run(f"ckpt={ckpt}", "export=onnx", "truncation=0.5")
