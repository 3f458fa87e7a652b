"""Trains small GANs on points in one or two processes and saves their weights: python replicas.py DEVICES FOLDER."""

import sys

import lightning as L
import torch

from gan_lightning import GAN, ReplicaStrategy
from gan_lightning.augment import ADA, APA, DiffAugment
from gan_lightning.data import Digits
from gan_lightning.losses import NonSaturating, Wasserstein
from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator
from gan_lightning.regularizers import DRAGAN, R1, BalancedConsistency, GradientPenalty, LatentConsistency, LeCam

GAMES = {
    "plain": (NonSaturating(), {}),
    "wgan_gp": (Wasserstein(), {"gradient_penalty": GradientPenalty()}),
    "r1": (NonSaturating(), {"r1": R1(weight=1.0)}),
    "lazy_r1": (NonSaturating(), {"r1": R1(weight=1.0, every=3)}),
    "lecam": (NonSaturating(), {"lecam": LeCam(weight=1.0, start=1)}),
    "dragan": (NonSaturating(), {"dragan": DRAGAN()}),
    "consistency": (NonSaturating(), {"bcr": BalancedConsistency(weight=1.0), "zcr": LatentConsistency()}),
    "diffaugment": (NonSaturating(), {"r1": R1(weight=1.0)}),
    "ada": (NonSaturating(), {"r1": R1(weight=1.0)}),
    "apa": (NonSaturating(), {}),
}
AUGMENTS = {
    "diffaugment": DiffAugment,
    "ada": lambda: ADA(p=0.5, target=0.0, interval=2, kimg=1),
    "apa": lambda: APA(p=0.5, target=0.0, interval=2, kimg=1),
}


def build(name):
    torch.manual_seed(0)
    loss, regularizers = GAMES[name]
    return GAN(
        DCGANGenerator(8, 1, width=8, norm="layer", latent_dim=16),
        Discriminator(DCGANBackbone(8, 1, width=8, norm="layer")),
        loss=loss,
        regularizers=regularizers,
        augment=AUGMENTS[name]() if name in AUGMENTS else None,
        d_steps=2 if name == "wgan_gp" else 1,
        seed=3,
    )


def train(name, devices):
    module = build(name)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=ReplicaStrategy() if devices > 1 else "auto",
        max_epochs=1,
        limit_train_batches=6,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    trainer.fit(module, datamodule=Digits(image_size=8, batch_size=16, seed=3, mirror=True))
    return module


if __name__ == "__main__":
    torch.set_num_threads(1)
    devices, folder = int(sys.argv[1]), sys.argv[2]
    for name in GAMES:
        module = train(name, devices)
        torch.save(module.state_dict(), f"{folder}/{name}-{module.global_rank}.pt")
