"""Degradations: grey, numbers keyed by row and by sample, sources in a training, and games that have no use for one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from gan_lightning import GAN
from gan_lightning.cli.train import train
from gan_lightning.data import Degradation, Digits, Grey, Ring
from gan_lightning.data.degradations import BLOCK, KeyedRows, check_source, degrade, sample_rows, training_rows
from gan_lightning.data.fields import Field
from gan_lightning.data.image_data import set_channels
from gan_lightning.data.prepare import prepare
from gan_lightning.errors import UserError
from gan_lightning.networks import DCGANGenerator
from gan_lightning.training.step import Step
from tests.conftest import fit


class Holes(Degradation):
    """Grains of noise, and each pixel cut out with probability 1/4."""

    makes = ("source", "mask")

    def forward(self, images: Tensor, draw: KeyedRows) -> dict[str, Tensor]:
        mask = (draw.uniform("holes", 1, *images.shape[2:]) < 0.25).float()
        noisy = (images + 0.1 * draw.normal("noise", *images.shape[1:])).clamp(-1, 1)
        return {"source": noisy * (1 - mask), "mask": mask}


def pictures(count: int) -> Tensor:
    return torch.randint(256, (count, 3, 6, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


# Grey ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_grey_is_the_luma_of_pillow_in_each_channel(layout: torch.memory_format) -> None:
    pixels = pictures(4)
    batch = prepare({"image": pixels, "label": torch.arange(4)}, {}, layout)
    found = degrade(batch, Grey(), training_rows(0, 0, 0, 4, "cpu"))
    assert found["image"] is batch["image"] and found["label"] is batch["label"] and set(found) == {*batch, "source"}
    source = found["source"]
    assert source.shape == (4, *Grey().source_shape((3, 6, 5))) == (4, 3, 6, 5)
    assert source.dtype == torch.float32 and source.is_contiguous(memory_format=layout)
    assert torch.equal(source[:, 0], source[:, 1]) and torch.equal(source[:, 0], source[:, 2])
    for image, grey in zip(pixels, source, strict=True):
        pil = np.array(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        assert ((grey[0] + 1) * 127.5 - torch.from_numpy(pil)).abs().max() < 1  # Pillow rounds
    assert ((source[:, :1] + 1) * 127.5 - set_channels(pixels, 1)).abs().max() < 0.51


def test_grey_leaves_grey_alone_and_spans_black_to_white() -> None:
    levels = torch.linspace(-1, 1, 9).view(9, 1, 1, 1).expand(-1, 3, 2, 2)
    assert torch.allclose(Grey()(levels, training_rows(0, 0, 0, 9, "cpu"))["source"], levels, atol=1e-6)


def test_a_degradation_keeps_no_graph() -> None:
    images = torch.randn(2, 3, 4, 4, requires_grad=True)
    assert not degrade({"image": images}, Grey(), training_rows(0, 0, 0, 2, "cpu"))["source"].requires_grad


# Random numbers ------------------------------------------------------------------------------------------------------


def both(rows: KeyedRows) -> list[Tensor]:
    return [rows.uniform("u", 2, 3), rows.normal("n")]


@pytest.mark.parametrize("cut", [1, BLOCK - 1, BLOCK, BLOCK + 3, 40])
def test_a_row_has_its_numbers_whoever_draws_it(cut: int) -> None:
    whole = both(training_rows(3, 7, 0, 50, "cpu"))
    first, second = both(training_rows(3, 7, 0, cut, "cpu")), both(training_rows(3, 7, cut, 50 - cut, "cpu"))
    assert all(torch.equal(torch.cat(parts), one) for *parts, one in zip(first, second, whole, strict=True))
    assert whole[0].shape == (50, 2, 3) and whole[1].shape == (50,)


def test_numbers_are_keyed_by_seed_iteration_row_and_purpose() -> None:
    drawn = [training_rows(*key, 50, "cpu").normal(purpose) for *key, purpose in (
        (0, 0, 0, "a"), (1, 0, 0, "a"), (0, 1, 0, "a"), (0, 0, 50, "a"), (0, 0, 0, "b"))]  # fmt: skip
    drawn.append(sample_rows(0, 0, 50, "cpu").normal("a"))
    assert len(torch.cat(drawn).unique()) == 300
    assert torch.equal(drawn[0], training_rows(0, 0, 0, 50, "cpu").normal("a"))


def test_numbers_follow_their_laws() -> None:
    rows = training_rows(0, 0, 0, 20_000, "cpu")
    uniform, normal = rows.uniform("u"), rows.normal("n")
    assert uniform.min() >= 0 and uniform.max() < 1
    assert uniform.mean().item() == pytest.approx(0.5, abs=5 * (1 / 12 / 20_000) ** 0.5)
    assert normal.mean().item() == pytest.approx(0, abs=5 / 20_000**0.5) and abs(normal.std().item() - 1) < 0.03


def test_two_processes_degrade_as_one_does() -> None:
    images = prepare({"image": pictures(40)}, {}, torch.channels_last)["image"]
    whole = degrade({"image": images}, Holes(), training_rows(0, 9, 0, 40, "cpu"))
    halves = [degrade({"image": images[i : i + 20]}, Holes(), training_rows(0, 9, i, 20, "cpu")) for i in (0, 20)]
    assert all(torch.equal(torch.cat([half[name] for half in halves]), whole[name]) for name in whole)
    assert 0.2 < whole["mask"].mean() < 0.3 and not torch.equal(halves[0]["mask"], halves[1]["mask"])


@pytest.mark.parametrize("batch_size", [1, 7, 16, 40])
def test_a_test_image_is_degraded_alike_in_batches_of_any_size(batch_size: int) -> None:
    images = prepare({"image": pictures(40)}, {}, torch.channels_last)["image"]
    parts = [
        degrade({"image": part}, Holes(), sample_rows(0, start, len(part), "cpu"))
        for start, part in zip(range(0, 40, batch_size), images.split(batch_size), strict=True)
    ]
    whole = degrade({"image": images}, Holes(), sample_rows(0, 0, 40, "cpu"))
    assert all(torch.equal(torch.cat([part[name] for part in parts]), whole[name]) for name in whole)


def test_samples_draw_on_the_cpu_and_batches_on_their_device() -> None:
    """On the meta device nothing has values, and no generator can be made: training asks for one, samples do not."""
    assert sample_rows(0, 0, 5, "meta").normal("n").device.type == "meta"
    with pytest.raises(RuntimeError):
        training_rows(0, 0, 0, 5, "meta").normal("n")


# In a training -------------------------------------------------------------------------------------------------------


class Translation(GAN):
    """A game that looks at its source; here it only keeps what it was given."""

    takes_source = True

    def discriminator_loss(self, step: Step) -> dict[str, Tensor]:
        vars(self).setdefault("seen", []).append(step.batch)
        return super().discriminator_loss(step)


def played(task: Degradation | None, data: Any, **options: Any) -> list[dict[str, Tensor]]:
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 64, 1))
    game = Translation(DCGANGenerator(8, 3, width=4), critic, ema_kimg=None, seed=5, **options)
    game.task, game.takes_source = task, task is not None
    fit(game, data, batches=2)
    return game.seen


def test_a_game_that_takes_a_source_finds_it_in_its_batch() -> None:
    seen = played(Holes(), Digits(image_size=8, channels=3, batch_size=8))
    data = Digits(image_size=8, channels=3, batch_size=8)
    images = prepare(next(iter(data.train_dataloader())), data.fields, torch.channels_last)["image"]
    assert len(seen) == 2 and set(seen[0]) == {"image", "label", "source", "mask"}
    for iteration, batch in enumerate(seen):
        expected = degrade(batch, Holes(), training_rows(5, iteration, 0, 8, "cpu"))
        assert all(torch.equal(expected[name], batch[name]) for name in batch)
    assert torch.equal(seen[0]["image"], images) and not torch.equal(seen[0]["mask"], seen[1]["mask"])


def test_each_process_degrades_its_rows_of_the_batch() -> None:
    game, pixels = Translation(torch.nn.Identity(), torch.nn.Identity(), ema_kimg=None, seed=5), pictures(16)
    game.task = Holes()

    def rows(start: int, stop: int, rank: int) -> dict[str, Tensor]:
        game._trainer = SimpleNamespace(global_rank=rank)
        return game.ready({"image": pixels[start:stop]})

    whole, first, second = rows(0, 16, 0), rows(0, 8, 0), rows(8, 16, 1)
    assert all(torch.equal(torch.cat([first[name], second[name]]), whole[name]) for name in whole)


def test_without_a_task_the_batch_is_as_it_was() -> None:
    (first, _), (other, _) = (played(task, Digits(image_size=8, channels=3, batch_size=8)) for task in (None, Grey()))
    assert set(first) == {"image", "label"} and torch.equal(first["image"], other["image"])
    assert torch.equal(other["source"][:, 0], other["source"][:, 1])


def test_accumulated_pieces_get_their_share_of_every_field() -> None:
    data = {"image_size": 8, "channels": 3, "batch_size": 8}
    pieces, whole = played(Holes(), Digits(**data), accumulate=2), played(Holes(), Digits(**data))
    for name, values in whole[0].items():
        assert torch.equal(torch.cat([pieces[0][name], pieces[1][name]]), values), name


# Games that have no use for one --------------------------------------------------------------------------------------

COLOUR = SimpleNamespace(name="photos", image_shape=(3, 8, 8), fields={"image": Field("image")})
PAIRS = SimpleNamespace(
    name="pairs", image_shape=(3, 8, 8), fields={"image": Field("image"), "source": Field("source")}
)
TAKES, PLAIN = SimpleNamespace(takes_source=True), GAN.__new__(GAN)


@pytest.mark.parametrize(
    ("game", "data", "task", "said"),
    [
        (PLAIN, COLOUR, Grey(), r"task=grey makes a source .* GAN makes images out of noise .*: use task=none, or a"),
        (TAKES, COLOUR, None, r"data=photos has none: choose a task, such as task=grey, or a data set of pairs"),
        (TAKES, PAIRS, Grey(), r"task=grey makes a source, and data=pairs has one already: use task=none"),
        (TAKES, Digits(), Grey(), r"these images are grey: set data\.channels=3, or use task=none"),
        (TAKES, Ring(num_points=600), Grey(), r"these are points in the plane: use task=none"),
    ],
)
def test_a_task_that_cannot_be_played_is_one_sentence(game: Any, data: Any, task: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        check_source(game, data, task)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_what_goes_together_passes() -> None:
    for game, data, task in (
        (PLAIN, COLOUR, None),
        (PLAIN, PAIRS, None),
        (TAKES, PAIRS, None),
        (TAKES, COLOUR, Grey()),
    ):
        check_source(game, data, task)
    check_source(TAKES, Digits(channels=3), Grey())


@pytest.mark.parametrize("model", ["dcgan", "stylegan2", "progan"])
def test_the_command_line_refuses_a_task_before_training(model: str, tmp_path: Path) -> None:
    words = [f"model={model}", "data.channels=3", "data.image_size=8", "metrics=[]", "trainer=cpu"]
    with pytest.raises(UserError, match=r"task=grey makes a source out of each image, and \w*GAN .*: use task=none"):
        train([*words, "task=grey", f"run_dir={tmp_path}/run"])
    assert not (tmp_path / "run/config.yaml").exists()


def test_the_group_says_what_there_is() -> None:
    assert train.compose(["task=grey"]).task._target_ == "gan_lightning.data.Grey"
    assert train.compose([]).task is None and train.compose(["task=none"]).task is None
    with pytest.raises(UserError, match="gray"):
        train.compose(["task=gray"])
