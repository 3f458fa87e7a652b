"""Pictures of fixed latents: the same each time, named by images seen, and a bounded time-lapse."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image
from tiny_run import Fit, TinyData, gan

from gan_lightning.callbacks import Checkpoint, SampleGrid
from gan_lightning.errors import UserError
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.pixels import evenly, scatter, time_lapse


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "samples").iterdir())


def still(image_shape: tuple[int, ...] = (1, 8, 8), num_classes: int = 0) -> object:
    """Return a GAN that doesn't learn: every frame must be the same picture."""
    module = gan(image_shape, num_classes)
    module.optimizer_factories = dict.fromkeys(module.optimizer_factories, lambda p: torch.optim.SGD(p, lr=0.0))
    return module


def test_every_frame_is_drawn_from_the_same_latents(fit: Fit, run_folder: Path) -> None:
    fit(SampleGrid(), epochs=3, module=still())
    assert names(run_folder) == ["000000000.png", "000000032.png", "000000064.png", "000000096.png"]
    frames = {(run_folder / "samples" / name).read_bytes() for name in names(run_folder)}
    assert len(frames) == 1
    assert (run_folder / "samples.png").read_bytes() in frames


def test_the_seed_chooses_the_latents_and_learning_changes_the_picture(fit: Fit) -> None:
    trainer, module = fit(epochs=1, module=still())
    one = SampleGrid(seed=1).picture(trainer, module)
    assert one.tobytes() != SampleGrid(seed=2).picture(trainer, module).tobytes()
    with torch.no_grad():
        module.generator.layer.bias += 0.3
    assert one.tobytes() != SampleGrid(seed=1).picture(trainer, module).tobytes()


def test_cells_are_the_generators_images_in_order(fit: Fit) -> None:
    trainer, module = fit(epochs=1)
    callback = SampleGrid(rows=2, columns=3, seed=5)
    picture = numpy.asarray(callback.picture(trainer, module))
    factor = picture.shape[1] // (3 * 10 + 2)
    cell = picture[2 * factor + 10 * factor :: factor, 2 * factor + 10 * factor :: factor][:8, :8]  # second row, column
    wanted = ((module.sample(4, 5, seed=5)[0, 0] + 1) * 127.5).round().to(torch.uint8)
    numpy.testing.assert_array_equal(cell, wanted.numpy())


@pytest.mark.parametrize(("num_classes", "rows"), [(3, [0, 1, 2]), (101, [0, 33, 67, 100])])
def test_a_conditional_generator_gets_a_row_per_class(fit: Fit, num_classes: int, rows: list[int]) -> None:
    trainer, module = fit(epochs=1)
    module.generator.num_classes = num_classes
    picture = numpy.asarray(SampleGrid(rows=4, columns=5).picture(trainer, module))
    factor = picture.shape[1] // (5 * 10 + 2)
    middles = picture[5 * factor :: 10 * factor, 5 * factor :: 10 * factor]
    wanted = [[(label / num_classes + 1) * 127.5] * 5 for label in rows]
    numpy.testing.assert_allclose(middles[: len(rows)], wanted, atol=0.6)


def test_points_in_the_plane_are_a_scatter_plot_over_the_modes(fit: Fit, run_folder: Path) -> None:
    class Mixture(TinyData):
        std = 0.02

        def modes(self) -> torch.Tensor:
            return torch.tensor([[1.0, 0.0], [-1.0, 0.0]])

    fit(SampleGrid(), epochs=1, image_shape=(2,), datamodule=Mixture((2,)))
    picture = numpy.asarray(Image.open(run_folder / "samples.png").convert("RGB")).astype(int)
    redness = picture[..., 0] - picture[..., 2]
    assert picture.shape == (512, 512, 3)
    assert (redness[:, :256] > 100).any() and (redness[:, 256:] > 100).any()


def test_scatter_puts_points_where_they_are() -> None:
    modes = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    picture = numpy.asarray(scatter(torch.tensor([[0.6, -0.6]] * 3), modes, std=0.01)).astype(int)
    blue = picture[..., 2] - picture[..., 0] > 60
    y, x = numpy.argwhere(blue).mean(0)
    reach = 1.25 + 0.04
    assert (x, y) == pytest.approx((256 + 0.6 / reach * 256, 256 + 0.6 / reach * 256), abs=1)


def test_by_images(fit: Fit, run_folder: Path) -> None:
    fit(SampleGrid(every_epochs=None, every_kimg=0.024), epochs=2)
    assert names(run_folder) == ["000000000.png", "000000024.png", "000000048.png", "000000064.png"]


def test_resume_drops_the_frames_beyond_its_checkpoint(fit: Fit, run_folder: Path) -> None:
    checkpoint = Checkpoint()
    trainer, _ = fit(SampleGrid(), checkpoint, epochs=1)
    for stale in ("000000064.png", "000000999.png"):
        (run_folder / "samples" / stale).write_bytes(b"stale")
    fit(SampleGrid(), Checkpoint(), epochs=2, resume=checkpoint.last_path(trainer))
    assert names(run_folder) == ["000000000.png", "000000032.png", "000000064.png"]
    assert (run_folder / "samples" / "000000064.png").read_bytes() != b"stale"


def test_time_lapse_shows_each_frame(fit: Fit, run_folder: Path) -> None:
    fit(SampleGrid(), epochs=3)
    with Image.open(run_folder / "samples.gif") as gif:
        assert gif.n_frames == 4


def test_time_lapse_is_bounded(tmp_path: Path) -> None:
    frames = []
    for index in range(23):
        frames.append(tmp_path / f"{index:09d}.png")
        Image.new("L", (300, 150), index * 10).save(frames[-1])
    time_lapse(frames, tmp_path / "all.gif", max_frames=7, max_side=100)
    with Image.open(tmp_path / "all.gif") as gif:
        assert (gif.n_frames, gif.size) == (7, (100, 50))
        gif.seek(6)
        assert gif.convert("L").getpixel((50, 25)) == pytest.approx(220, abs=3)
        assert gif.info["duration"] == 1500
    assert [path.name for path in evenly(frames, 2)] == ["000000000.png", "000000022.png"]


def test_an_empty_grid_is_refused() -> None:
    with pytest.raises(UserError, match="rows=0"):
        SampleGrid(rows=0)


def test_a_generator_with_codes_gets_a_row_for_each_of_them(fit: Fit, run_folder: Path) -> None:
    """The linear generator's image shows its latents: along a row only that of the row's code changes."""
    module = gan()
    module.generator.codes = LatentCodes((2,), 1)
    for old in ("codes/000000000.png", "codes/999999999.png"):  # of a resumed run, the second after its checkpoint
        (run_folder / old).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(run_folder / old)
    Image.new("L", (8, 8)).save(run_folder / "codes.png")
    fit(SampleGrid(rows=2, columns=3), epochs=2, module=module)
    frames = sorted(path.stem for path in (run_folder / "codes").iterdir())
    assert frames == sorted(path.stem for path in (run_folder / "samples").iterdir()) and len(frames) == 3
    with Image.open(run_folder / "codes.gif") as gif:
        assert gif.n_frames == 3
    picture = numpy.asarray(Image.open(run_folder / "codes.png")).astype(int)
    factor = picture.shape[1] // (3 * 10 + 2)
    small = picture[::factor, ::factor]
    assert small.shape == (2 * 10 + 2, 3 * 10 + 2)
    cells = [[small[2 + 10 * row :, 2 + 10 * column :][:8, :8] for column in range(3)] for row in range(2)]
    assert picture.shape[1] >= 512  # large enough to be looked at
    assert numpy.array_equal(cells[0][0], cells[0][2]) and not numpy.array_equal(cells[0][0], cells[0][1])
    assert not numpy.array_equal(cells[1][0], cells[1][2])
