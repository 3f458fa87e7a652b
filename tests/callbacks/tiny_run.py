"""A tiny real run for callbacks to hang on: 8x8 images, linear networks, four batches of eight per epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from gan_lightning.loggers import CSVLogger
from gan_lightning.modules.gan import GAN
from gan_lightning.scores import better

BATCH, BATCHES = 8, 4


class TinyGenerator(nn.Module):
    """Linear map of 4 latents, plus a colour per class."""

    latent_dim = 4

    def __init__(self, image_shape: tuple[int, ...] = (1, 8, 8), num_classes: int = 0) -> None:
        super().__init__()
        self.image_shape, self.num_classes = image_shape, num_classes
        self.layer = nn.Linear(4, torch.Size(image_shape).numel())

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, 4) -> (N, *image_shape)."""
        images = self.layer(z).tanh()
        if labels is not None:
            images = images * 0 + labels.view(-1, 1) / self.num_classes
        return images.view(-1, *self.image_shape)


class TinyDiscriminator(nn.Sequential):
    """Linear critic."""

    def __init__(self, image_shape: tuple[int, ...] = (1, 8, 8)) -> None:
        super().__init__(nn.Flatten(), nn.Linear(torch.Size(image_shape).numel(), 1), nn.Flatten(0))

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, ...) -> (N,)."""
        return super().forward(images)


class TinyData(L.LightningDataModule):
    """Random images; an iterator goes on where the module is, as the real data sets do."""

    batch_size = BATCH

    def __init__(self, image_shape: tuple[int, ...] = (1, 8, 8)) -> None:
        super().__init__()
        self.image_shape = image_shape

    def train_dataloader(self) -> TinyData:
        """Return this."""
        return self

    def __len__(self) -> int:
        return BATCHES

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        for _ in range(self.trainer.lightning_module.iteration % BATCHES, BATCHES):
            yield {"image": torch.rand(BATCH, *self.image_shape) * 2 - 1}


class Score(L.Callback):
    """Stands for the evaluation: the given scores, one set per epoch."""

    def __init__(self, *scores: dict[str, float]) -> None:
        self.scores = list(scores)

    def on_train_epoch_end(self, trainer: L.Trainer, module: GAN) -> None:
        """Report the next scores as an evaluation does."""
        from gan_lightning.callbacks import call

        scores = self.scores[trainer.current_epoch]
        module.scores = scores
        module.best |= {name: value for name, value in scores.items() if better(name, value, module.best.get(name))}
        module.report(scores)
        call(trainer, "on_scores", scores)


Fit = Callable[..., tuple[L.Trainer, GAN]]


@pytest.fixture
def fit(run_folder: Path) -> Fit:
    """Return a function that trains in `run_folder` with the callbacks given and returns (trainer, module)."""

    def run(
        *callbacks: L.Callback,
        epochs: int = 2,
        module: GAN | None = None,
        resume: Path | None = None,
        image_shape: tuple[int, ...] = (1, 8, 8),
        datamodule: L.LightningDataModule | None = None,
        log: bool = True,
    ) -> tuple[L.Trainer, GAN]:
        from gan_lightning.callbacks import Checkpoint, Progress

        module = module or gan(image_shape)
        trainer = L.Trainer(
            default_root_dir=run_folder,
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=list(callbacks),
            logger=[CSVLogger(run_folder)] if log else False,
            enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
            enable_progress_bar=any(isinstance(c, Progress) for c in callbacks),
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule or TinyData(image_shape), ckpt_path=resume)
        return trainer, module

    return run


def gan(image_shape: tuple[int, ...] = (1, 8, 8), num_classes: int = 0, **options: object) -> GAN:
    """Return a GAN of the tiny networks that reports every two iterations."""
    generator, discriminator = TinyGenerator(image_shape, num_classes), TinyDiscriminator(image_shape)
    return GAN(generator, discriminator, **{"log_every": 2, "ema_kimg": None, **options})
