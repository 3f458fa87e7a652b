"""TensorBoard: images seen as the step, pictures, and no ghosts after a resume."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from PIL import Image

from gan_lightning.loggers import CSVLogger, TensorBoardLogger, log_image


def start(logger: TensorBoardLogger, images_seen: int) -> None:
    trainer = SimpleNamespace(state=SimpleNamespace(fn="fit"), is_global_zero=True)
    logger.log_graph(SimpleNamespace(_trainer=trainer, images_seen=images_seen))


def test_round_trip_over_a_resume(run_folder: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    first = TensorBoardLogger(run_folder)
    start(first, 0)
    for step in (100, 200, 300):
        first.log_metrics({"loss/generator": step / 10, "images_seen": step}, step=step)
    log_image([CSVLogger(run_folder), first], "samples", Image.new("L", (12, 6), 77), 100)
    first.finalize("success")
    second = TensorBoardLogger(run_folder)
    start(second, 200)
    second.log_metrics({"loss/generator": 99.0}, step=250)
    second.finalize("success")

    events = EventAccumulator(str(run_folder / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in events.Scalars("loss/generator")] == [(100, 10.0), (200, 20.0), (250, 99.0)]
    assert events.Tags()["scalars"] == ["loss/generator"]
    (picture,) = events.Images("samples")
    assert (picture.step, picture.width, picture.height) == (100, 12, 6)
