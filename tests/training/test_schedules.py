"""Schedules over the run: learning rates, beta2, penalties' weights, and the average's half-life."""

import pytest
import torch
from torch import nn

from gan_lightning import GAN
from gan_lightning.data import Ring
from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, MLP2dBackbone, MLP2dGenerator
from gan_lightning.regularizers import Regularizer
from gan_lightning.training.player import Player
from gan_lightning.training.schedules import Cosine
from tests.conftest import fit


@pytest.mark.parametrize(
    ("options", "values"),
    [
        ({}, {0.0: 1.0, 0.5: 0.5, 1.0: 0.0}),
        ({"final": 0.25}, {0.0: 1.0, 1 / 3: 0.8125, 0.5: 0.625, 1.0: 0.25}),
        ({"start": 0.0, "final": 1.0}, {0.0: 0.0, 0.5: 0.5, 1.0: 1.0}),
        ({"final": 0.1, "until": 0.2}, {0.0: 1.0, 0.1: 0.55, 0.2: 0.1, 0.9: 0.1}),
    ],
)
def test_cosines(options, values):
    schedule = Cosine(**options)
    assert {progress: schedule(progress) for progress in values} == pytest.approx(values)


@pytest.mark.parametrize("until", [0.0, 1.5])
def test_an_end_outside_of_the_run_is_a_sentence(until):
    with pytest.raises(UserError, match=f"schedule.until={until} is out of range"):
        Cosine(until=until)


def test_beta2_moves_and_optimisers_without_betas_go_on():
    weight = nn.Parameter(torch.zeros(1))
    adam = Player("a", [weight], torch.optim.Adam([weight], betas=(0.1, 0.9)), beta2_schedule=Cosine(final=0.1))
    adam.set_progress(0.5)
    assert adam.optimizer.param_groups[0]["betas"] == pytest.approx((0.1, 0.945))
    adam.set_progress(1.0)
    assert adam.optimizer.param_groups[0]["betas"] == pytest.approx((0.1, 0.99))
    sgd = Player("b", [weight], torch.optim.SGD([weight], lr=0.1), beta2_schedule=Cosine())
    sgd.set_progress(1.0)
    assert sgd.learning_rate == 0.1


class One(Regularizer):
    def penalty(self, step):
        return step.real_logits.mean() * 0 + 1


def points_gan(**options):
    torch.manual_seed(0)
    return GAN(MLP2dGenerator(width=8), Discriminator(MLP2dBackbone(width=8)), log_every=1, **options)


def test_a_penaltys_weight_follows_its_schedule_over_the_runs_images():
    module = points_gan(regularizers={"one": One(2.0, schedule=Cosine(final=0.5))}, accumulate=2)
    rows = fit(module, Ring(num_points=256, batch_size=32), batches=4).loggers[0].rows
    expected = [2 * Cosine(final=0.5)(i / 4) for i in range(4)]
    assert [row["loss/one"] for row in rows] == pytest.approx(expected)


def test_the_averages_half_life_follows_its_schedule():
    """From half-life 0 the average is the generator itself; with a long one it stays where it was."""
    modules = [
        points_gan(ema_kimg=1000.0, ema_rampup=None, ema_schedule=Cosine(*ends)) for ends in ((0.0, 0.0), (1.0,))
    ]
    for module in modules:
        fit(module, Ring(num_points=256, batch_size=32), batches=4)
    now, kept = (list(zip(m.generator.parameters(), m.generator_ema.parameters(), strict=True)) for m in modules)
    assert all(torch.equal(weight, average) for weight, average in now)
    assert any(not torch.equal(weight, average) for weight, average in kept)


@pytest.mark.parametrize("name", ["schedule", "beta2_schedule", "ema_schedule"])
def test_a_schedule_without_an_end_is_a_sentence(name):
    module = points_gan(**{name: Cosine()})
    with pytest.raises(UserError, match="A schedule needs the run's length"):
        fit(module, Ring(num_points=256, batch_size=32), max_epochs=-1)


def test_a_scheduled_penalty_without_an_end_is_a_sentence():
    module = points_gan(regularizers={"one": One(1.0, schedule=Cosine())})
    with pytest.raises(UserError, match="A schedule needs the run's length"):
        fit(module, Ring(num_points=256, batch_size=32), max_epochs=-1)
