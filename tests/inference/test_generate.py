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
from gan_lightning.data import Folder
from gan_lightning.errors import UserError
from gan_lightning.inference.load import load
from gan_lightning.inference.sampling import random_labels
from gan_lightning.inference.save import class_folders
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


@pytest.fixture
def numbered(
    network: DCGANGenerator, saved: Save, checkpoint: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Return a checkpoint whose classes are called by numbers that are not their places."""
    monkeypatch.chdir(tmp_path)
    return saved(checkpoint(network, data={"class_names": ["0", "10", "2"]}))


@pytest.mark.parametrize(
    ("names", "word", "place"),
    [
        (["0", "10", "2"], "2", 2),
        (["0", "10", "2"], "'2'", 2),
        (["0", "10", "2"], "10", 1),
        (["000", "007", "002"], "007", 1),
        (["no", "true", "1e3"], "true", 1),
        (["no", "true", "1e3"], "1e3", 2),
        (["ant", "bee", "all"], "all", 2),
        (["ant", "bee", "cat"], "2", 2),
    ],
)
def test_the_command_takes_the_words_of_sample_and_says_the_class(
    names: list[str],
    word: str,
    place: int,
    network: DCGANGenerator,
    saved: Save,
    checkpoint: Make,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ckpt = saved(checkpoint(network, data={"class_names": names}))
    out = run(f"ckpt={ckpt}", "n=2", f"label={word}", f"out={tmp_path / 'out'}")
    assert f"2 samples of class {place} of 3: '{names[place]}': " in capsys.readouterr().out
    expected = to_uint8(load(ckpt).generate(0, 2, 0, torch.tensor(place)))
    assert np.array_equal(pixels(out / "00001.png"), expected[1, 0])
    if names[2] != "all":
        assert torch.equal(load(ckpt).sample(1, labels=word.strip("'")), load(ckpt).sample(1, labels=names[place]))


def test_a_number_that_is_no_name_is_refused_where_classes_are_numbers(numbered: Path) -> None:
    for label in (1, "1"):
        with pytest.raises(
            UserError, match=r"no class called 1, and a number is a name .*: choose one of '10', '0', '2'"
        ):
            load(numbered).sample(1, labels=label)
    with pytest.raises(UserError, match="no class called 1, and a number is a name"):
        run(f"ckpt={numbered}", "label=1", "out=none")
    assert not Path("none").exists()


def test_a_folder_for_each_class(ckpt: Path, tmp_path: Path) -> None:
    out, flat = run(f"ckpt={ckpt}", "n=20", "by_class=true", "out=sorted"), run(f"ckpt={ckpt}", "n=20", "out=flat")
    labels = random_labels(3, 0, 20, 0).tolist()
    expected = {f"{('ant', 'bee', 'cat')[label]}/{index:05d}.png" for index, label in enumerate(labels)}
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.png")} == expected
    assert all((out / name).read_bytes() == (flat / Path(name).name).read_bytes() for name in expected)
    data = Folder(root=str(tmp_path / out), labels="folders", num_classes=3, image_size=8, channels=1, batch_size=4)
    assert sorted(data.reference().labels.tolist()) == sorted(labels)
    one = run(f"ckpt={ckpt}", "n=2", "by_class=true", "label=bee", "out=one")
    assert [path.name for path in one.iterdir()] == ["bee"] and len(list((one / "bee").iterdir())) == 2


@pytest.mark.parametrize("names", [["../../up", "b", "c"], ["a", "A", "b"], ["", "b", "c"], [".a", "b", "c"], None])
def test_names_that_cannot_be_folders_become_numbers(
    names: list[str] | None, network: DCGANGenerator, saved: Save, checkpoint: Make, tmp_path: Path
) -> None:
    ckpt = saved(checkpoint(network, data={"class_names": names}), "deep/er/last.ckpt")
    out = run(f"ckpt={ckpt}", "n=3", "label=all", "by_class=true", f"out={tmp_path}/deep/out")
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        f"class_{index}/0000{index}.png" for index in range(3)
    ]
    assert class_folders(None, 1000)[7] == "class_007" and class_folders(["a b", "é", "1"], 3) == ["a b", "é", "1"]


def test_several_seeds_give_the_first_sample_of_each(ckpt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = run(f"ckpt={ckpt}", "seed=[9,1,-5]", "out=liked", "truncation=0.5")
    assert {path.name for path in out.iterdir()} == {"seed_9.png", "seed_1.png", "seed_-5.png"}
    assert "3 samples: " in capsys.readouterr().out
    for seed in (9, 1, -5):
        alone = run(f"ckpt={ckpt}", f"seed={seed}", "n=3", f"out=alone{seed}", "truncation=0.5")
        assert (alone / "00000.png").read_bytes() == (out / f"seed_{seed}.png").read_bytes()
    grid = run(f"ckpt={ckpt}", "seed=[9,1]", "label=all", "out=two.png")
    assert np.array_equal(pixels(grid)[2:10, 12:20], to_uint8(load(ckpt).generate(0, 1, 1, "bee"))[0, 0])
    sorted_out = run(f"ckpt={ckpt}", "seed=[9,1]", "by_class=true", "out=sorted")
    names = [f"{('ant', 'bee', 'cat')[random_labels(3, 0, 1, seed)]}/seed_{seed}.png" for seed in (9, 1)]
    assert {path.relative_to(sorted_out).as_posix() for path in sorted_out.rglob("*.png")} == set(names)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["seed=[]"], r"seed=\[\] is not possible: it is a whole number, or a list of them, such as \[1,5,9\]"),
        (["seed=[1,a]"], r"seed=\[1, 'a'\] is not possible"),
        (["seed=[1,2.5]"], r"seed=\[1, 2.5\] is not possible"),
        (["seed=one"], "seed=one is not possible"),
        (["seed=null"], "seed=None is not possible"),
        (["seed=[1,1]"], r"seed=1 is in the list 2 times: name each seed once"),
        (["seed=[1,2]", "n=3"], r"n=3 does not go with 2 seeds, which give one sample each: leave n out"),
        (
            ["by_class=true", "out=x.png"],
            r"by_class=true writes a folder for each class: give out= a folder, not x.png",
        ),
        (["by_class=2"], "by_class=2 is not possible: it is true or false"),
        (["by_class=true", "export=onnx"], "leave out by_class"),
    ],
)
def test_mistakes_with_seeds_and_folders(ckpt: Path, words: list[str], sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        run(f"ckpt={ckpt}", *words)


def test_samples_without_classes_have_no_folders_for_them(saved: Save, checkpoint: Make, weathered: Make) -> None:
    ckpt = saved(checkpoint(weathered(DCGANGenerator(8, 1, latent_dim=4, width=4))))
    with pytest.raises(
        UserError, match=r"by_class=true sorts samples by class, and the generator in .* has no classes"
    ):
        run(f"ckpt={ckpt}", "by_class=true", "out=x")
