"""Each mistake ends before training in one sentence that names the key and a way out."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from gan_lightning.cli.evaluate import evaluate
from gan_lightning.cli.generate import generate
from gan_lightning.cli.train import main, train
from gan_lightning.errors import UserError

TINY = [
    "model.generator.width=4",
    "model.discriminator.backbone.width=4",
    "data.image_size=8",
    "data.batch_size=64",
    "metrics=[]",
    "callbacks=[nan_guard,limit,checkpoint]",
    "logger=[csv]",
    "trainer.accelerator=cpu",
    "trainer.devices=1",
    "trainer.limit_train_batches=1",
    "max_epochs=1",
]


@pytest.fixture(autouse=True)
def _no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Inception weights, and a network that answers nothing."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def unreachable(*args: object, **kwargs: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    monkeypatch.setattr("torch.hub.urlopen", unreachable)


def refused(command: Any, words: list[str], *parts: str) -> str:
    """Return the sentence with which `command` refuses `words`; it holds `parts`."""
    with pytest.raises(UserError) as caught:
        command(words)
    said = str(caught.value)
    assert "\n" not in said and len(said) < 700, said
    for part in parts:
        assert part in said, said
    return said


OPTIONS = {
    "lrr=1": "There is no option lrr: the nearest are optim.lr,",
    "modle=dcgan": "There is no option modle: the nearest are model,",
    "model.generator.widht=3": "nearest are model.generator.width,",
    "batch_size=3": "nearest are data.batch_size",
    "+model.generator.widht=3": "model.generator has no option widht: DCGANGenerator takes width,",
    "+trainer.foo=1": "trainer has no option foo",
    "loss=hinges": "There is no loss=hinges: choose one of hinge, ",
    "model=dcgann": "There is no model=dcgann: choose one of dcgan, ",
    "regularizer=[r3]": "There is no regularizer=r3: choose one of r1, r2, ",
    "logger=[csvv]": "There is no logger=csvv: choose one of csv, ",
    "experiment=nope": "There is no experiment=nope: choose one of ",
    "callbacks.limit=null": "callbacks.limit=null names nothing to build: '~callbacks.limit' leaves it out.",
    "regularizer=[r1": "regularizer=[r1 cannot be read: write KEY=VALUE",
    "dcgan": "dcgan cannot be read: write KEY=VALUE or GROUP=OPTION",
    "model.generator._target_=my.Network": "model.generator._target_=my.Network cannot be imported",
}
LIGHTNING = {
    "trainer.max_steps=9": "trainer.max_steps has no effect on a GAN, whose players step one at a time: use max_kimg",
    "trainer.min_steps=9": "use max_kimg or max_epochs instead",
    "trainer.gradient_clip_val=1.0": "use optim.clip_norm instead",
    "trainer.gradient_clip_algorithm=norm": "use optim.clip_norm instead",
    "trainer.accumulate_grad_batches=2": "use model.accumulate instead",
    "trainer.strategy=fsdp": "trainer.strategy=fsdp cannot train a GAN",
    "trainer.precision=99": "trainer.precision=99 is not possible: it is one of '16'",
    "trainer.accelerator=abacus": "invalid accelerator name",
    "trainer.profiler=fast": "Lightning's Trainer cannot be built as asked",
    "trainer.max_time=soon": "is not a valid duration",
    "trainer.devices=99": "trainer.devices=99 is more than this machine has: ",
    "trainer.devices=[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]": "trainer.devices=17 is more than",
    "trainer.devices=0": "trainer.devices=0 is not possible: give a number of at least 1",
    "trainer.num_nodes=0": "trainer.num_nodes=0 is not possible",
    "trainer.devices=2 data.batch_size=63": "cannot be divided among 2: take 62",
}
VALUES = {
    "optim.lr=-1": "optim.lr=-1 is out of range",
    "optim.lr=abc": "optim.lr=abc is not possible: it is a number",
    "optim.discriminator.lr=nan": "optim.discriminator.lr=nan is out of range",
    "optim.betas=[1.5,0.9]": "optim.betas=[1.5,0.9] is out of range: each lies in [0, 1)",
    "optim.betas=[0.5]": "optim.betas=[0.5] is not possible: it is a list of 2, each a number",
    "optim.betas=0.5": "optim.betas=0.5 is not possible: it is a list of 2",
    "optim.clip_norm=0": "optim.clip_norm=0 is not possible: it is a number above 0",
    "optim=rmsprop optim.alpha=-1": "optim.generator cannot be built: Invalid alpha value: -1",
    "data.batch_size=0": "data.batch_size=0 is not possible: it is a whole number of at least 1",
    "data.batch_size=5000": "1797 images do not fill a batch; set data.batch_size to at most 1797",
    "data.num_workers=-1": "data.num_workers=-1 is not possible",
    "data.image_size=33": "not 33: set data.image_size=32, or choose another model",
    "data.mirror=maybe": "data.mirror=maybe is not possible: it is true or false",
    "model.generator.width=0": "model.generator.width=0 is out of range: it is at least 1",
    "model.generator.width=2.5": "model.generator.width=2.5 is not possible: it is a whole number",
    "model.generator.latent_dim=-3": "model.generator.latent_dim=-3 is out of range",
    "model.generator.norm=batchh": "norm=batchh is not known",
    "model.generator=null": "model.generator=null is not possible",
    "model.d_steps=0": "d_steps=0 is out of range",
    "model.d_steps=1.5": "model.d_steps=1.5 is not possible: it is a whole number",
    "model.accumulate=65": "model.accumulate=65 is more than a process has images in a batch: at most 64",
    "regularizer=[r1] regularizer.r1.every=0": "every=0",
    "regularizer=[r1] regularizer.r1.weight=heavy": "regularizer.r1.weight=heavy is not possible: it is a number",
    "loss.real_label=7": "loss.real_label=7 is out of range",
    "schedule=linear_decay schedule.start=2": "schedule.start=2 is out of range",
    "callbacks=[target] callbacks.target.fid=low": "callbacks.target.fid=low is not possible: it is a number or null",
    "seed=abc": "seed=abc is not possible: it is a whole number",
    "max_epochs=abc": "max_epochs=abc is not possible: it is a whole number of at least 1",
    "max_epochs=0": "max_epochs=0 is not possible",
    "max_kimg=-1": "max_kimg=-1 is not possible: it is a number above 0",
    "log_every=0": "log_every=0 is not possible",
    "strict=abc": "strict=abc is not possible: it is true or false",
    "evaluation.num_fakes=1 metrics=[fid]": "evaluation.num_fakes=1 is not possible",
    "evaluation.every_epochs=0 metrics=[fid]": "evaluation.every_epochs=0 is not possible",
    "evaluation.split=val metrics=[fid]": "data=digits has no split 'val'; there are: 'train'",
}
CHOICES = {
    "conditioning=projection data=celeba": "cannot train on CelebA, which is unlabelled here: use conditioning=none",
    "conditioning=concat data=ring model=mlp2d": "cannot train on Ring, which is unlabelled",
    "data.image_size=16 regularizer=[gradient_penalty]": "set model.discriminator.backbone.norm=layer (or none)",
    "metrics=[modes]": "choose data=ring or data=grid, or metrics=[fid,is]",
    "metrics=[fid] extractor=inception": "extractor.weights=PATH, or train without scores by metrics=[]",
    "metrics=[fid] extractor=inception extractor.weights=/nowhere": "extractor.weights=/nowhere is not a file",
    "data=mnist data.root=ROOT": "data=mnist is not in ROOT and could not be downloaded",
    "data=celeba data.root=ROOT": "place img_align_celeba/*.jpg and the lists in ROOT/celeba",
    "data=folder": "data=folder needs the folder: data.root=/my/images",
    "data=folder data.root=ROOT": "data.root=ROOT is not a folder",
    "data=folder data.root=EMPTY": "data.root=EMPTY holds no images; looked in it and all below for .jpg",
    "ckpt_path=/nowhere": "ckpt_path=/nowhere is not there",
    "resume=/nowhere": "resume=/nowhere is no run's folder",
    "resume=FILE": "resume=FILE is a file: resume takes a run's folder",
}


@pytest.mark.parametrize("line", [*OPTIONS, *LIGHTNING, *VALUES, *CHOICES])
def test_a_mistake_is_one_sentence(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)  # what counts as too many devices
    places = {"ROOT": tmp_path / "root", "EMPTY": tmp_path / "empty", "FILE": tmp_path / "file"}
    places["EMPTY"].mkdir()
    places["FILE"].write_text("no run")
    said = {**OPTIONS, **LIGHTNING, **VALUES, **CHOICES}[line]
    for word, path in places.items():
        line, said = line.replace(word, str(path)), said.replace(word, str(path))
    refused(train, [*TINY, f"run_dir={tmp_path}/run", *line.split()], said)
    assert not (tmp_path / "run/checkpoints").exists() and not (tmp_path / "run/config.yaml").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there(tmp_path: Path) -> None:
    refused(train, ["trainer=gpu", f"run_dir={tmp_path}/run"], "trainer.accelerator=gpu, but this machine has no GPU")


def test_whole_numbers_are_taken_for_betas(run_folder: Path) -> None:
    result = train([*TINY, "optim.betas=[0,0.9]", f"run_dir={run_folder}"])
    assert result["images_seen"] == 64


def test_both_players_may_have_rates_of_their_own(run_folder: Path) -> None:
    rates = ["optim.generator.lr=1e-4", "optim.discriminator.lr=4e-4", "optim.generator.betas=[0,0.9]"]
    train([*TINY, *rates, "optim.discriminator.betas=[0,0.9]", f"run_dir={run_folder}"])
    seen = (run_folder / "metrics.csv").read_text().splitlines()
    last = dict(zip(seen[0].split(","), seen[-1].split(","), strict=True))
    assert (last["lr/generator"], last["lr/discriminator"]) == ("0.0001", "0.0004")


def test_half_precision_and_ddp_run_on_one_process(run_folder: Path) -> None:
    overrides = [*TINY, "trainer.precision=16-mixed", "trainer.strategy=ddp", f"run_dir={run_folder}"]
    assert train(overrides)["images_seen"] == 64


def test_a_folder_that_cannot_be_written_or_holds_a_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    refused(train, [*TINY, f"run_dir={tmp_path}/file/run"], "/file/run cannot be written: Not a directory")
    words = [*TINY, f"run_dir={tmp_path}/run"]
    refused(train, [*words, "data.image_size=33"], "data.image_size=32")
    train(words)  # what failed before it began may be tried again in the same folder
    before = (tmp_path / "run/checkpoints/last.ckpt").read_bytes()
    refused(train, words, f"{tmp_path}/run holds a run already: resume={tmp_path}/run continues it")
    assert (tmp_path / "run/checkpoints/last.ckpt").read_bytes() == before


def pictures(folder: Path) -> Path:
    folder.mkdir()
    for number in range(5):
        Image.new("RGB", (12, 9), (40 * number, 9, 9)).save(folder / f"{number}.png")
    (folder / "bad.png").write_text("no image")
    return folder


@pytest.mark.parametrize("cache_gib", [1.0, 0.0], ids=["in memory", "from files"])
def test_an_unreadable_image_is_named_or_skipped(cache_gib: float, tmp_path: Path, capsys: Any) -> None:
    root = pictures(tmp_path / "images")
    words = [*TINY, "data=folder", f"data.root={root}", "data.batch_size=5", "data.num_workers=0"]
    words += [f"data.cache_gib={cache_gib}", f"run_dir={tmp_path}/run"]
    refused(train, words, f"Image {root}/bad.png cannot be read", "data.on_error=skip")
    assert train([*words, "data.on_error=skip"])["images_seen"] == 5
    assert "1 of 6 images cannot be read and are left out, first bad.png" in capsys.readouterr().out


class Attack:
    """Makes a folder when unpickled."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.proof),)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "run"
    train([*TINY, f"run_dir={folder}"])
    return folder


def damaged(kind: str, good: Path, folder: Path) -> Path:
    path = folder / f"{kind}.ckpt"
    if kind == "truncated":
        path.write_bytes(good.read_bytes()[:-1000])
    elif kind == "text":
        path.write_text("hello")
    elif kind == "foreign":
        torch.save({"state_dict": {}, "epoch": 3, "pytorch-lightning_version": "2.6"}, path)
    elif kind == "attack":
        torch.save({"state_dict": {}, "gan_lightning": Attack(folder / "proof")}, path)
    else:
        path.write_bytes(pickle.dumps(Attack(folder / "proof")))
    return path


SAID = {
    "truncated": "is corrupt, cut off",
    "text": "is corrupt, cut off",
    "foreign": "no checkpoint of gan_lightning",
    "attack": "is refused: beside tensors and plain data it holds posix.mkdir",
    "pickle": "",
}


@pytest.mark.parametrize("kind", SAID)
def test_a_bad_checkpoint_is_refused_everywhere(kind: str, trained: Path, tmp_path: Path) -> None:
    path = damaged(kind, trained / "checkpoints/last.ckpt", tmp_path)
    refused(train, [*TINY, f"run_dir={tmp_path}/run", f"ckpt_path={path}"], str(path), SAID[kind])
    refused(evaluate, [f"ckpt={path}"], str(path), SAID[kind])
    refused(generate, [f"ckpt={path}", f"out={tmp_path}/x.png"], str(path), SAID[kind])
    shutil.copytree(trained, tmp_path / "copy")
    shutil.copy(path, tmp_path / "copy/checkpoints/last.ckpt")
    refused(train, [f"resume={tmp_path}/copy", "max_epochs=2"], "last.ckpt", SAID[kind])
    assert not (tmp_path / "proof").exists() and not (tmp_path / "x.png").exists()


def test_a_run_that_cannot_be_taken_up(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained, tmp_path / "run")
    words = [f"resume={tmp_path}/run"]
    refused(train, [*words, "optim.lrr=1"], "nearest are optim.lr")
    refused(train, [*words, "max_epochs=abc"], "max_epochs=abc is not possible")
    refused(train, [*words, f"ckpt_path={tmp_path}"], "resume and ckpt_path exclude each other")
    refused(train, [*words, f"init_from={trained}"], "resume and init_from exclude each other")
    for text, said in {
        "a: [b": "cannot be read as a run's configuration",
        "a: b": "has no loss",
        "": "no loss",
    }.items():
        (tmp_path / "run/.hydra/config.yaml").write_text(text)
        refused(train, words, said)
    shutil.rmtree(tmp_path / "run/.hydra")
    shutil.rmtree(tmp_path / "run/checkpoints")
    refused(train, words, "has no checkpoints/last.ckpt to resume from")


EVALUATE = {
    "num_fakes=abc": "num_fakes=abc is not possible: it is a whole number of at least 2",
    "seed=abc": "seed=abc is not possible: it is a whole number",
    "raw=3": "raw=3 is not possible: it is true or false",
    "device=abacus": "device=abacus cannot be used here",
    "split=nope": "data=digits has no split 'nope'",
    "metrics=[modes]": "choose data=ring or data=grid",
    "extractor=inception": "extractor.weights=PATH",
    "fidd=3": "There is no option fidd: the nearest are ",
}
GENERATE = {
    "n=0": "n=0 is no count: give a whole number from 1",
    "n=many": "n=many is no count",
    "seed=abc": "seed=abc is not possible: it is a whole number",
    "label=3": "has no classes: leave them out",
    "raw=maybe": "raw=maybe is not possible: it is true or false",
    "out=x.gif": "end it in .png",
    "export=tflite": "export=tflite is not known: choose one of",
    "nn=3": "There is no option nn: the nearest are n, ",
}


@pytest.mark.parametrize("line", [*EVALUATE, *GENERATE])
def test_the_other_commands_refuse_in_one_sentence_too(line: str, trained: Path) -> None:
    for command, lines in ((evaluate, EVALUATE), (generate, GENERATE)):
        if line in lines:
            refused(command, [f"ckpt={trained}", line], lines[line])


BROKEN = """
class Net:
    def __init__(self, **anything):
        raise KeyError("weights")
"""


def test_a_network_that_breaks_in_its_constructor_is_told_by_its_key(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "broken_network.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(str(tmp_path))
    words = [*TINY, "model.discriminator._target_=broken_network.Net", f"run_dir={tmp_path}/run"]
    refused(train, words, "model.discriminator cannot be built: KeyError: 'weights' (HYDRA_FULL_ERROR=1 shows where)")


def test_the_command_line_prints_only_the_sentence_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train.py", "data.image_size=33", "metrics=[]", "trainer=cpu", f"hydra.run.dir={tmp_path}/run"]
    monkeypatch.setattr(sys, "argv", line)
    for wanted in ("0", "1"):
        monkeypatch.setenv("HYDRA_FULL_ERROR", wanted)
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == 1 and not printed.out
        lines = printed.err.splitlines()
        assert lines[-1].startswith("gan-train: ") and lines[-1].endswith("or choose another model.")
        assert ("Traceback (most recent call last)" in printed.err) == (len(lines) > 1) == (wanted == "1")
