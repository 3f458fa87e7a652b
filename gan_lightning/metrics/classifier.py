"""Features of a small classifier that is trained once on the labelled data set, for data unlike Inception's."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Subset

from gan_lightning.errors import UserError
from gan_lightning.metrics import cache
from gan_lightning.metrics.base import Extractor
from gan_lightning.metrics.collective import from_rank_zero
from gan_lightning.streams import generator, key

VERSION = 1  # part of the cache's key; increase it when the network or the recipe changes
SIDE = 32  # pixels; larger images are downsampled to this side by averaging
MOST_IMAGES = 50_000
WIDTH = 128


class Classifier(Extractor):
    """128 penultimate features and K class logits of a convolutional network trained on the data set's own classes.

    It is trained on 80% of the training split (at most 50,000 images of at most 32 x 32 pixels). Its accuracy on the
    other 20% is printed. Weights and accuracy are cached under the data's fingerprint. Scores are marked
    `[classifier]`: they compare generators on this data set and do not compare with published numbers.

    epochs: passes over the 80%. seed: of the split, the initial weights and the order of the images.
    """

    name = "classifier"
    suffix = "[classifier]"
    feature_dim = WIDTH
    network: nn.Sequential

    def __init__(self, epochs: int = 15, seed: int = 0) -> None:
        self.epochs = epochs
        self.seed = seed
        self.accuracy: float | None = None
        self._learnt = ""  # fingerprint of the data that the network was trained on
        self.num_classes = 0

    def check(self, data: Any) -> None:
        """Raise a UserError for a data set without labels."""
        self.num_classes = data.num_classes
        if not data.num_classes:
            raise UserError(
                f"extractor=classifier learns the classes of the data set, and data={data.name} is unlabelled: use "
                "extractor=inception or metrics=[]."
            )
        self.resize = f"averaged to {SIDE}" if max(data.image_shape[1:]) > SIDE else ""

    def prepare(self, data: Any, device: torch.device | str) -> None:
        """Load the trained classifier of `data`, or train it on `device`: rank zero trains, the others receive the
        weights.
        """
        self.check(data)
        if self._learnt != data.fingerprint("train"):
            state = from_rank_zero(lambda: self.trained(data, torch.device(device)))
            self.accuracy = float(state.pop("accuracy"))
            self.network = build(data.image_shape[0], self.num_classes, self.seed)
            self.network.load_state_dict(state)
            self.network.eval().requires_grad_(False)
            self.fingerprint = f"classifier-{VERSION}-{_hash(state)}"
            self._learnt = data.fingerprint("train")
        self.network.to(device)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return features `(N, 128)` and logits `(N, K)`."""
        features = self.network[:-1](_pixels(images))
        return features, self.network[-1](features)

    def embed(self, images: Tensor) -> Tensor:
        """Return features `(N, 128)` of float images `(N, C, H, W)` in [-1, 1], without rounding them to 8 bits."""
        if max(images.shape[-2:]) > SIDE:
            images = functional.adaptive_avg_pool2d(images, SIDE)
        return self.network[:-1](images)

    def trained(self, data: Any, device: torch.device) -> dict[str, Tensor]:
        """Return the trained weights and "accuracy", from the cache or (on one process) trained now."""
        self.check(data)
        identity = f"{data.fingerprint('train')}/{data.num_classes}/{VERSION}/{self.epochs}/{self.seed}"
        path = cache.place("classifiers", identity)
        state = cache.read(path)
        if state is None:
            state = self._train(data, device)
            cache.write(path, state)
        return state

    def _train(self, data: Any, device: torch.device) -> dict[str, Tensor]:
        images, labels = load(data, "train", self.seed)
        network = build(images.shape[1], self.num_classes, self.seed).to(device)
        held_out = len(images) // 5
        fit(network, images[held_out:].to(device), labels[held_out:].to(device), self.epochs, self.seed)
        accuracy = share_right(network, images[:held_out].to(device), labels[:held_out].to(device))
        print(f"Trained the classifier of {data.name}: {accuracy:.2%} right on {held_out:,} held-out images.")
        state = {name: value.detach().cpu() for name, value in network.state_dict().items()}
        return {**state, "accuracy": torch.tensor(accuracy, dtype=torch.float64)}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one CPU thread.

    The network is so small that more threads help little, and on busy cores they wait for each other. One thread also
    makes the weights, and with them the scores, independent of the number of cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _hash(state: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(state[name].numpy().tobytes())
    return digest.hexdigest()[:16]


def load(data: Any, split: str, seed: int) -> tuple[Tensor, Tensor]:
    """Return uint8 images `(N, C, h, w)`, downsampled, and labels `(N,)` in a random order that depends on `seed`.

    At most 50,000 images of the split are used.
    """
    reference = data.reference(split)
    chosen = torch.randperm(len(reference), generator=generator(seed, "classifier", "split"))[:MOST_IMAGES]
    workers = getattr(data, "num_workers", 0)
    loader = DataLoader(
        Subset(reference, chosen.tolist()), batch_size=256, num_workers=workers, generator=generator(seed, "workers")
    )
    batches = [(shrink(batch["image"]), batch["label"]) for batch in loader]
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels).long()


def shrink(images: Tensor) -> Tensor:
    """Return uint8 images `(N, C, H, W)`; larger ones are downsampled to 32 x 32 by averaging."""
    if max(images.shape[-2:]) <= SIDE:
        return images
    return functional.adaptive_avg_pool2d(images.float(), SIDE).round().byte()


def _pixels(images: Tensor) -> Tensor:
    return shrink(images).float() / 127.5 - 1


def build(channels: int, classes: int, seed: int) -> nn.Sequential:
    """Return a network of about 0.2 million weights drawn from `seed`; its last layer is the linear classifier."""

    def block(inputs: int, outputs: int, kernel: int = 3) -> list[nn.Module]:
        convolution = nn.Conv2d(inputs, outputs, kernel, stride=2, padding=kernel // 2, bias=False)
        return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

    with torch.random.fork_rng(devices=[]):  # initial weights use the global random state, which training needs
        torch.default_generator.manual_seed(key(seed, "classifier", "weights"))
        layers = [*block(channels, 32, 5), *block(32, 64), *block(64, 128), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
        return nn.Sequential(*layers, nn.Linear(4 * 128, WIDTH), nn.ReLU(), nn.Linear(WIDTH, classes))


def fit(network: nn.Module, images: Tensor, labels: Tensor, epochs: int, seed: int, batch_size: int = 64) -> None:
    """Train `network` on uint8 images `(N, C, H, W)` with labels `(N,)`, in an order that depends on `seed`."""
    order = generator(seed, "classifier", "order")
    steps = epochs * -(-len(images) // batch_size)
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=steps)
    network.train()
    with _one_thread(), torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        for _ in range(epochs):
            for rows in torch.randperm(len(images), generator=order).split(batch_size):
                rows = rows.to(images.device)
                loss = functional.cross_entropy(network(_pixels(images[rows])), labels[rows])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()


@torch.no_grad()
def named(network: nn.Module, images: Tensor) -> Tensor:
    """Return the predicted class `(N,)` of each of the uint8 images `(N, C, H, W)`."""
    return network(_pixels(images)).argmax(1)


@torch.no_grad()
def share_right(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the accuracy of `network` on uint8 images `(N, C, H, W)`; NaN if there are none."""
    network.eval()
    right = [
        (named(network, batch) == truth).sum()
        for batch, truth in zip(images.split(256), labels.split(256), strict=True)
    ]
    return float(sum(right)) / len(images) if len(images) else math.nan
