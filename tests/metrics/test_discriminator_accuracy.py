"""The discriminator's accuracy is counted over the right images, labels and packs."""

from __future__ import annotations

import pytest
import torch
from subjects import Labelled, Splits, plain, subject
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.inference.sampling import random_labels
from gan_lightning.metrics.base import Setting, Subject, named_values
from gan_lightning.metrics.discriminator_accuracy import DiscriminatorAccuracy
from gan_lightning.networks.base import DiscriminatorOutput
from gan_lightning.networks.discriminator import Discriminator
from gan_lightning.networks.mlp import MLPBackbone

SETTING = Setting(has_discriminator=True)


class Brightness(nn.Module):
    """Calls bright images real, with batch norm's and dropout's way of differing between modes."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.dropout = nn.Dropout(0.9)

    def forward(self, images: Tensor) -> DiscriminatorOutput:
        return DiscriminatorOutput(self.dropout(images.mean((1, 2, 3)) + self.shift))


def two_tone(bright: int, dark: int) -> Tensor:
    return torch.cat([plain(0.8, bright), plain(-0.8, dark)])


def accuracy(on: Subject, **options: object) -> dict[str, float]:
    metric = DiscriminatorAccuracy(SETTING, **options)
    metric.update(on)
    return named_values(metric)


def fakes(start: int, stop: int, labels: Tensor | None = None) -> Tensor:
    """Return every fourth sample bright."""
    values = torch.where(torch.arange(start, stop) % 4 == 0, 0.8, -0.8)
    return values[:, None, None, None].expand(-1, 1, 8, 8)


def test_each_kind_of_image_has_its_share() -> None:
    data = Splits(train=(two_tone(36, 4), None), test=(two_tone(12, 8), None))
    judge = Brightness().train()
    values = accuracy(subject(data, fakes, discriminator=judge))
    assert values == {"d_accuracy_train": 0.9, "d_accuracy_test": 0.6, "d_accuracy_fake": 0.75}
    assert judge.training


def test_without_a_held_out_split_there_are_two_numbers() -> None:
    data = Splits(train=(two_tone(36, 4), None))
    assert accuracy(subject(data, fakes, discriminator=Brightness())).keys() == {"d_accuracy_train", "d_accuracy_fake"}


def test_a_critic_without_a_border_has_one_between_the_means() -> None:
    data = Splits(train=(two_tone(36, 4), None))
    critic = subject(data, fakes, discriminator=Brightness(shift=100.0))
    assert accuracy(critic) == {"d_accuracy_train": 1.0, "d_accuracy_fake": 0.0}
    assert accuracy(critic, border=None) == {"d_accuracy_train": 0.9, "d_accuracy_fake": 0.75}


class ByLabel(nn.Module):
    """Real is what has label 1."""

    needs_labels = True

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self.weight * (2 * labels.float() - 1)


def test_a_discriminator_of_classes_gets_those_of_the_images() -> None:
    data = Splits(2, train=(plain(0, 40), (torch.arange(40) < 30).long()))
    asked = []

    def sample(start: int, stop: int, labels: Tensor) -> Tensor:
        asked.append(labels)
        return fakes(start, stop)

    values = accuracy(subject(data, sample, discriminator=ByLabel(), generator=Labelled(2)))
    labels = random_labels(2, 0, 40, 0)
    assert torch.equal(torch.cat(asked), labels)
    assert values == {"d_accuracy_train": 0.75, "d_accuracy_fake": float((labels == 0).double().mean())}


def test_packs_are_judged_whole() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        judge = Discriminator(MLPBackbone(image_size=8, channels=1), pack=3)
    values = accuracy(subject(Splits(train=(two_tone(36, 4), None)), fakes, discriminator=judge))
    assert values["d_accuracy_train"] * 13 == pytest.approx(round(values["d_accuracy_train"] * 13))


def test_without_a_discriminator_it_says_where_there_is_one() -> None:
    with pytest.raises(UserError, match="needs the discriminator, which only a run and its full checkpoints have"):
        DiscriminatorAccuracy(Setting())
