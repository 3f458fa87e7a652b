"""During training: when it evaluates, what it tells whom, and that Ctrl-C costs one evaluation."""

from __future__ import annotations

from typing import Any

import lightning as L
import pytest
import torch
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gan_lightning.callbacks.base import Callback
from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluation_callback import EvaluationCallback
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.inference.producers import Made, Producer
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception_score import InceptionScore


class Module(L.LightningModule):
    """What the callback needs of a GAN: 100 images an iteration, samples that get worse with each."""

    def __init__(self, ema: bool = True) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.weight = nn.Parameter(torch.zeros(1))
        self.made = Made(self.sample, (1, 4, 4))
        self.made.averaged = ema
        self.images_seen = 0
        self.scores: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.protocol: str | None = None
        self.reported: list[dict[str, float]] = []
        self.interrupt_at: int | None = None

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)

    def training_step(self, batch: Tensor, index: int) -> None:
        self.images_seen += 100

    def synchronise_buffers(self) -> None:
        pass

    def producers(self, seed: int = 0, raw: bool = False) -> dict[str, Producer]:
        return {"samples": self.made}

    def sample(self, start: int, stop: int) -> Tensor:
        if self.images_seen == self.interrupt_at:
            raise KeyboardInterrupt
        images = TinyData(seed=1).images.images[start:stop].float() / 127.5 - 1
        return images + self.images_seen / 1000

    def report(self, scalars: dict[str, float]) -> None:
        self.reported.append(scalars)


class Listener(Callback):
    """Notes (images seen, scores)."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, dict[str, float]]] = []

    def on_scores(self, trainer: L.Trainer, module: L.LightningModule, scores: dict[str, float]) -> None:
        self.heard.append((module.images_seen, scores))


def train(module: Module, metrics: dict[str, Any] | None = None, epochs: int = 4, **when: Any) -> Listener:
    """Fit for some epochs of three iterations and return what was heard."""
    metrics = {"fid": FID, "is": InceptionScore} if metrics is None else metrics
    listener = Listener()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[EvaluationCallback(Evaluator(metrics, TinyData(), LinearExtractor()), **when), listener],
    )
    trainer.fit(module, DataLoader(torch.zeros(3)))
    return listener


def test_each_epoch_is_scored_told_and_printed_with_floor_and_protocol(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = Module()
    heard = train(module).heard
    assert [seen for seen, _ in heard] == [300, 600, 900, 1200]
    assert module.reported == [scores for _, scores in heard] and module.scores == heard[-1][1]
    assert module.protocol == "90 EMA samples (seed 0) vs 90 train images, linear features"
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch")]
    assert [line[:21] for line in lines] == [f"epoch {e} · {e * 0.3:.1f} kimg · " for e in (1, 2, 3, 4)]
    assert all(module.protocol in line and "fid90_train[linear]" in line and " ± " in line for line in lines)
    assert all("(floor " in line and "(real " in line for line in lines)
    assert [("45 train images vs the other 45" in line) for line in lines] == [True, False, False, False]


def test_the_best_of_each_score_is_kept() -> None:
    module = Module()
    heard = [scores for _, scores in train(module).heard]
    assert (
        module.best["fid90_train[linear]"]
        == min(scores["fid90_train[linear]"] for scores in heard)
        == heard[0]["fid90_train[linear]"]
    )
    assert module.best["is90[linear]"] == max(scores["is90[linear]"] for scores in heard)
    assert "is90_std[linear]" not in module.best


def test_every_epochs_and_the_end() -> None:
    assert [seen for seen, _ in train(Module(), epochs=5, every_epochs=2).heard] == [600, 1200, 1500]


def test_every_kimg_counts_instead_of_epochs() -> None:
    assert [seen for seen, _ in train(Module(), every_kimg=0.5).heard] == [500, 1000, 1200]


def test_never_but_at_the_end() -> None:
    assert [seen for seen, _ in train(Module(), every_epochs=None).heard] == [1200]


def test_no_metrics_is_no_evaluation() -> None:
    module = Module()
    assert train(module, metrics={}).heard == [] and module.protocol is None


def test_without_an_average_samples_are_raw() -> None:
    module = Module(ema=False)
    train(module, epochs=1)
    assert module.protocol.startswith("90 raw samples")


def test_an_interrupted_evaluation_is_left_out_and_training_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    module = Module()
    module.interrupt_at = 600
    assert [seen for seen, _ in train(module).heard] == [300, 900, 1200]
    assert "Interrupted the evaluation" in capsys.readouterr().out


def test_nothing_of_the_evaluator_gets_into_the_module() -> None:
    module = Module()
    train(module, epochs=1)
    assert set(module.state_dict()) == {"weight"}


@pytest.mark.parametrize("when", [{"every_epochs": 0}, {"every_kimg": -1.0}])
def test_an_interval_below_zero_is_refused(when: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"evaluation\.every_.* is not possible"):
        EvaluationCallback(Evaluator({}, TinyData()), **when)
