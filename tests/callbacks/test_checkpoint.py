"""Checkpoints: which state they hold, when they are written, and that they are whole."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import lightning as L
import pytest
import torch
from tiny_run import BATCH, Fit, Score, gan

from gan_lightning.callbacks import Checkpoint, every
from gan_lightning.modules.gan import GAN


def images(path: Path) -> int:
    return torch.load(path, weights_only=True)["gan_lightning"]["images_seen"]


class Watch(L.Callback):
    """Notes `images_seen` of last.ckpt after each batch, seen before Checkpoint's own turn of that batch."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint, self.seen = checkpoint, []

    def on_train_batch_start(self, trainer: L.Trainer, *_: object) -> None:
        path = self.checkpoint.last_path(trainer)
        self.seen.append(images(path) // BATCH if path.exists() else 0)


@pytest.mark.parametrize(
    ("name", "values", "best_epoch"),
    [
        ("fid1797_train[classifier]", [4.0, 2.0, 3.0], 2),
        ("fid", [4.0, float("nan"), 5.0], 1),
        ("high_quality", [0.1, 0.2, 0.9], 3),
        ("is1797[classifier]", [2.0, 1.0, 1.5], 1),
    ],
)
def test_best_is_the_best_by_score(fit: Fit, name: str, values: list[float], best_epoch: int) -> None:
    checkpoint = Checkpoint()
    trainer, _ = fit(Score(*({name: value} for value in values)), checkpoint, epochs=3)
    assert images(checkpoint.best_path(trainer)) == best_epoch * 4 * BATCH
    assert images(checkpoint.last_path(trainer)) == 3 * 4 * BATCH
    assert checkpoint.best_score == values[best_epoch - 1]


def test_monitor_chooses_the_score(fit: Fit) -> None:
    checkpoint = Checkpoint(monitor="is")
    trainer, _ = fit(Score({"fid": 1.0, "is": 1.0}, {"fid": 2.0, "is": 2.0}), checkpoint)
    assert images(checkpoint.best_path(trainer)) == 2 * 4 * BATCH


def test_without_scores_there_is_no_best(fit: Fit) -> None:
    checkpoint = Checkpoint()
    trainer, _ = fit(checkpoint)
    assert checkpoint.last_path(trainer).exists() and not checkpoint.best_path(trainer).exists()


def test_states_to_keep_stay_and_are_as_many_as_asked_for(fit: Fit) -> None:
    checkpoint = Checkpoint(keep_every_kimg=3 * BATCH / 1000)
    trainer, _ = fit(Score({"fid": 1.0}, {"fid": 2.0}), checkpoint, epochs=2)
    folder = checkpoint.folder(trainer)
    kept = {path.name: images(path) for path in folder.glob("0*.ckpt")}
    assert kept == {f"{3 * BATCH:09}.ckpt": 3 * BATCH, f"{6 * BATCH:09}.ckpt": 6 * BATCH}
    assert images(folder / "best.ckpt") == 4 * BATCH and images(folder / "last.ckpt") == 8 * BATCH


def test_best_score_survives_a_resume(fit: Fit) -> None:
    first = Checkpoint()
    trainer, _ = fit(Score({"fid": 1.0}), first, epochs=1)
    second = Checkpoint()
    fit(Score({}, {"fid": 2.0}), second, epochs=2, resume=first.last_path(trainer))
    assert second.best_score == 1.0
    assert images(second.best_path(trainer)) == 4 * BATCH


def test_by_time(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    class Minute(L.Callback):
        def on_train_batch_start(self, *_: object) -> None:
            clock["now"] += 60.0

    clock = {"now": 0.0}
    monkeypatch.setattr(every.time, "monotonic", lambda: clock["now"])
    checkpoint = Checkpoint(every_minutes=3)
    watch = Watch(checkpoint)
    fit(Minute(), watch, checkpoint, epochs=2)
    assert watch.seen == [0, 0, 0, 3, 3, 3, 6, 6]


def test_by_images(fit: Fit) -> None:
    checkpoint = Checkpoint(every_minutes=None, every_kimg=0.02)
    watch = Watch(checkpoint)
    fit(watch, checkpoint, epochs=2)
    assert watch.seen == [0, 0, 0, 3, 3, 5, 5, 5]


class Fails(L.Callback):
    """Raises in the middle of iteration 3, or after it."""

    def __init__(self, error: BaseException, inside: bool) -> None:
        self.error, self.inside = error, inside

    def on_before_optimizer_step(self, trainer: L.Trainer, module: GAN, *_: object) -> None:
        if self.inside and module.iteration == 2:
            raise self.error

    def on_train_batch_end(self, trainer: L.Trainer, module: GAN, *_: object) -> None:
        if not self.inside and module.iteration == 3:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("disk full"), KeyboardInterrupt()])
def test_an_error_between_iterations_saves_the_state(fit: Fit, run_folder: Path, error: BaseException) -> None:
    with pytest.raises((RuntimeError, SystemExit)):
        fit(Fails(error, inside=False), Checkpoint())
    assert images(run_folder / "checkpoints" / "last.ckpt") == 3 * BATCH


def test_half_an_iteration_never_replaces_a_whole_state(fit: Fit, run_folder: Path) -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        fit(Fails(RuntimeError("out of memory"), inside=True), Checkpoint(every_kimg=0.008))
    assert images(run_folder / "checkpoints" / "last.ckpt") == 2 * BATCH


class Interrupt(GAN):
    """Gets a Ctrl-C in the middle of its third iteration."""

    def discriminator_loss(self, step: object) -> dict[str, torch.Tensor]:
        if self.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return super().discriminator_loss(step)


def test_ctrl_c_ends_the_iteration_and_saves_it(fit: Fit, run_folder: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    whole = gan()
    try:
        with pytest.raises(SystemExit):
            fit(Checkpoint(), module=Interrupt(whole.generator, whole.discriminator, ema_kimg=None))
        assert images(run_folder / "checkpoints" / "last.ckpt") == 3 * BATCH
    finally:
        signal.signal(signal.SIGINT, before)  # Lightning ignores SIGINT from its own handling on


def test_a_write_that_breaks_off_leaves_the_old_state_whole(fit: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = Checkpoint()
    trainer, _ = fit(checkpoint, epochs=1)
    path = checkpoint.last_path(trainer)
    whole = path.read_bytes()

    def breaks_off(self: L.Trainer, target: Path, weights_only: bool) -> None:
        Path(target).write_bytes(whole[: len(whole) // 2])
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(L.Trainer, "save_checkpoint", breaks_off)
        with pytest.raises(OSError, match="No space left"):
            fit(Checkpoint(), epochs=2, resume=path)
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_leftovers_of_a_killed_process_are_swept_up(fit: Fit, run_folder: Path) -> None:
    folder = run_folder / "checkpoints"
    folder.mkdir(parents=True)
    (folder / ".last-abc123.ckpt").write_bytes(b"half")
    fit(Checkpoint())
    assert [file.name for file in folder.iterdir()] == ["last.ckpt"]
