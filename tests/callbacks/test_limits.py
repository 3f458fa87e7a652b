"""Stopping: at a length, at a target, at NaN."""

from __future__ import annotations

import pytest
import torch
from tiny_run import BATCH, Fit, Score, gan

from gan_lightning.callbacks import Checkpoint, Limit, NanGuard, Target
from gan_lightning.errors import UserError
from gan_lightning.modules.gan import GAN


@pytest.mark.parametrize(("max_kimg", "iterations"), [(0.048, 6), (0.041, 6), (0.032, 4), (None, 8)])
def test_limit_stops_at_the_first_iteration_that_reaches_it(fit: Fit, max_kimg: float | None, iterations: int) -> None:
    _, module = fit(Limit(max_kimg), epochs=2)
    assert (module.iteration, module.images_seen) == (iterations, iterations * BATCH)


def test_a_resumed_run_beyond_the_limit_trains_no_further(fit: Fit) -> None:
    checkpoint = Checkpoint()
    trainer, _ = fit(Limit(0.04), checkpoint, epochs=5)
    _, module = fit(Limit(0.04), Checkpoint(), epochs=5, resume=checkpoint.last_path(trainer))
    assert module.images_seen == 40


def test_limit_refuses_a_length_that_is_none() -> None:
    with pytest.raises(UserError, match="max_kimg=0"):
        Limit(0)


@pytest.mark.parametrize(
    ("target", "epochs"),
    [
        ({"fid": 5.0}, 3),
        ({"is": 2.5}, 2),
        ({"is": 2.5, "fid": 5.0}, 3),
        ({"fid": 0.5, "is": None}, 4),
        ({"fid": None}, 4),
        ({"modes": 8}, 4),
    ],
)
def test_target_stops_when_all_thresholds_are_reached(fit: Fit, target: dict[str, float | None], epochs: int) -> None:
    scores = [{"fid10k_train[classifier]": 10.0 / n, "is10k[classifier]": 1.0 + n} for n in (0.5, 1.5, 2.0, 4.0)]
    _, module = fit(Score(*scores), Target(**target), epochs=4)
    assert module.iteration == epochs * 4


def test_target_names_the_nearest_score_for_an_unknown_one() -> None:
    with pytest.raises(UserError, match="'fidd'; choose from 'fid'"):
        Target(fidd=3.0)


class Breaks(GAN):
    """Turns its generator into NaN after five iterations."""

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> None:
        if self.iteration == 5:
            with torch.no_grad():
                self.generator.layer.weight.fill_(torch.nan)
        super().training_step(batch, batch_idx)


def broken() -> Breaks:
    whole = gan()
    return Breaks(whole.generator, whole.discriminator, log_every=2, ema_kimg=None)


def test_nan_guard_names_the_term_the_place_and_the_way_back(fit: Fit) -> None:
    with pytest.raises(UserError, match=r"is nan at 48 images seen \(the last good checkpoint is .*last.ckpt") as error:
        fit(NanGuard(), Checkpoint(every_kimg=0.016), epochs=3, module=broken())
    assert str(error.value).startswith("Training broke down: ")


def test_a_broken_state_never_becomes_a_checkpoint(fit: Fit) -> None:
    checkpoint = Checkpoint(every_kimg=0.008)
    trainer, _ = fit(checkpoint, epochs=3, module=broken())
    saved = torch.load(checkpoint.last_path(trainer), weights_only=True)
    assert saved["gan_lightning"]["images_seen"] == 40
    assert all(value.isfinite().all() for value in saved["state_dict"].values())
