"""Without our command line, data modules and base classes: plain Lightning, plain modules, a plain loader."""

from __future__ import annotations

from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import gan_lightning
from gan_lightning.errors import UserError


class Blobs(Dataset):
    """Bright or dark 8x8 images, uint8."""

    def __len__(self) -> int:
        return 48

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        noise = torch.randint(0, 40, (1, 8, 8), generator=torch.Generator().manual_seed(index))
        return {"image": (noise + 200 * (index % 2)).to(torch.uint8)}


class PlainData(L.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(Blobs(), batch_size=16)


class PlainGenerator(nn.Module):
    latent_dim, num_classes, image_shape = 6, 0, (1, 8, 8)

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 64), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.layers(z).view(-1, 1, 8, 8)


def discriminator() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1))


def fit(gan: L.LightningModule, folder: Path, epochs: int, **options: object) -> L.Trainer:
    keep = ModelCheckpoint(dirpath=folder, save_last=True, filename="{epoch}", save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(accelerator="cpu", devices=1, max_epochs=epochs, callbacks=[keep], **quiet)
    trainer.fit(gan, datamodule=PlainData(), **options)
    return trainer


def make() -> gan_lightning.GAN:
    torch.manual_seed(3)
    return gan_lightning.GAN(PlainGenerator(), discriminator(), seed=1)


def test_plain_lightning_trains_saves_resumes_and_loads(tmp_path: Path) -> None:
    gan = make()
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    fit(gan, tmp_path, epochs=4)
    assert gan.iteration == 12 and gan.images_seen == 4 * 48
    assert not any(torch.equal(before[name], value) for name, value in gan.state_dict().items())
    path = tmp_path / "last.ckpt"
    with pytest.raises(UserError, match=r"does not say how its generator is built.*network="):
        gan_lightning.load(path)
    loaded = gan_lightning.load(path, network=PlainGenerator())
    samples = loaded.sample(5, seed=2)
    assert samples.shape == (5, 1, 8, 8) and samples.min() >= 0 and samples.max() <= 1
    torch.testing.assert_close(samples * 2 - 1, gan.sample(0, 5, seed=2))

    resumed = make()
    fit(resumed, tmp_path / "resumed", epochs=4, ckpt_path=tmp_path / "epoch=1.ckpt", weights_only=True)
    assert resumed.iteration == 12
    assert all(torch.equal(value, gan.state_dict()[name]) for name, value in resumed.state_dict().items())
