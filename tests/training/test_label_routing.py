"""Whose labels reach whom: every image says what class it is of, and everyone must be told just that.

The classes of the real images are 3 to 10, those that the generator is asked for 0 to 2: no draw can confuse them.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from gan_lightning import GAN
from gan_lightning.augment import APA
from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks import Backbone, Discriminator
from gan_lightning.networks.base import DiscriminatorOutput
from gan_lightning.networks.heads import Head
from gan_lightning.networks.styles import StyleGenerator
from gan_lightning.regularizers import (
    DRAGAN,
    R1,
    R2,
    BalancedConsistency,
    Consistency,
    GradientPenalty,
    LatentConsistency,
    LatentDiversity,
    PathLength,
)
from gan_lightning.training.engine import Engine
from gan_lightning.training.step import Step

CLASSES, REAL, FAKE = 3, 1.0, -1.0
LABELS = torch.arange(CLASSES, CLASSES + 8)


def image(kind: float, labels: Tensor, shade: Tensor) -> Tensor:
    """Return images `(N, 3, 4, 4)` whose channels say what made them, of which class they are, and `shade`."""
    return torch.stack([torch.full_like(shade, kind), labels.to(shade), shade], 1)[..., None, None].expand(-1, 3, 4, 4)


class Asked(nn.Module):
    """Styles `(N, 2)`: a shade, and the class. Remembers the classes that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))
        self.asked: list[Tensor] = []

    def forward(self, z: Tensor, labels: Tensor | None = None, track: bool = False) -> Tensor:
        assert labels is not None
        self.asked.append(labels)
        return torch.stack([self.gain * z[:, 0], labels.float()], 1)


class Painted(nn.Module):
    """Styles `(N, 2, 2)` as images."""

    def forward(self, styles: Tensor) -> Tensor:
        return image(FAKE, styles[:, 1, 1], styles[:, 0, 0])


class Painter(StyleGenerator):
    """Writes into the image which class it was asked for."""

    latent_dim, num_classes, num_styles, mixing, image_shape = 2, CLASSES, 2, 1.0, (3, 4, 4)

    def __init__(self) -> None:
        super().__init__()
        self.mapping, self.synthesis = Asked(), Painted()


class Pixels(Backbone):
    """The image's three numbers."""

    feature_dim = 3

    def forward(self, images: Tensor) -> Tensor:
        return images.mean((2, 3))


class Witness(Head):
    """Remembers which images it saw under which labels, in `forward` and in its own loss."""

    needs_labels = True

    def __init__(self, feature_dim: int, num_classes: int = 0, bias: bool = True) -> None:
        super().__init__(feature_dim, num_classes, bias)
        self.saw: list[tuple[Tensor, Tensor | None]] = []
        self.judged: list[tuple[Tensor, Tensor | None, bool]] = []

    def forward(self, features: Tensor, labels: Tensor | None = None) -> DiscriminatorOutput:
        self.saw.append((features.detach(), labels))
        return DiscriminatorOutput(self.linear(features.square()).squeeze(1), features)

    def loss(self, output: DiscriminatorOutput, labels: Tensor | None, player: str, real: bool) -> dict[str, Tensor]:
        assert output.features is not None
        self.judged.append((output.features.detach(), labels, real))
        return {"witness": output.features.mean()}


def check(features: Tensor, labels: Tensor | None) -> str:
    """Compare the labels with what the images say; return whose images they are."""
    kind, own = features[:, 0], features[:, 1].round().long()
    assert labels is not None
    if not (kind.abs() == 1).all():
        assert labels.tolist() == LABELS.tolist()  # of points near a real image too: it is theirs
        return "near real"
    assert labels.tolist() == own.tolist() and (kind == kind[0]).all()
    return "real" if kind[0] == REAL else f"made for {whose(labels)}"


def whose(labels: Tensor) -> str:
    """Return whose classes the labels are, all of them."""
    assert (labels < CLASSES).all() or (labels >= CLASSES).all()
    return "fake" if labels[0] < CLASSES else "real"


def count(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in names}


PLAIN = {"real": 1, "made for fake": 2}  # D judges x once, and G(z) in both turns
MIXED = 2  # each image takes the styles of two latents, and the mapping is asked for both
CASES = {  # the game, what D judges, and how many batches of each kind of class G makes
    "plain": ({}, PLAIN, {"fake": 1}),
    "pieces": ({"accumulate": 2}, {"real": 2, "made for fake": 4}, {"fake": 4}),  # no fakes are shared then
    "R1": ({"penalty": R1()}, PLAIN, {"fake": 1}),
    "R2": ({"penalty": R2()}, PLAIN, {"fake": 1}),
    "R1 in float32": ({"penalty": R1(), "low_precision": True}, {"real": 2, "made for fake": 2}, {"fake": 1}),
    "R2 in float32": ({"penalty": R2(), "low_precision": True}, {"real": 1, "made for fake": 3}, {"fake": 1}),
    "consistency": ({"penalty": Consistency()}, {"real": 2, "made for fake": 2}, {"fake": 1}),
    "balanced consistency": ({"penalty": BalancedConsistency()}, {"real": 2, "made for fake": 3}, {"fake": 1}),
    "latent consistency": ({"penalty": LatentConsistency()}, {"real": 1, "made for fake": 3}, {"fake": 2}),
    "latent diversity": ({"penalty": LatentDiversity()}, PLAIN, {"fake": 2}),
    "gradient penalty": ({"penalty": GradientPenalty()}, PLAIN | {"near real": 1}, {"fake": 1}),
    "DRAGAN": ({"penalty": DRAGAN()}, PLAIN | {"near real": 1}, {"fake": 1}),
    "path length": ({"penalty": PathLength(every=1, batch_shrink=1)}, PLAIN, {"fake": 2}),
    # LOGAN judges what drawn latents give before it moves them, and its fakes hang on D, so both turns make their own.
    "LOGAN": ({"latent_optimization": LatentOptimization()}, {"real": 1, "made for fake": 4}, {"fake": 4}),
    "APA": ({"augment": APA(p=1.0)}, {"made for real": 1, "made for fake": 2}, {"fake": 1, "real": 1}),
}


def play(accumulate: int = 1, low_precision: bool = False, penalty: object = None, **options: object) -> GAN:
    """Play one iteration, in which every turn is due; return the game."""
    torch.manual_seed(0)
    discriminator = Discriminator(Pixels(), lambda **sizes: Witness(**sizes, num_classes=CLASSES))
    penalties = {} if penalty is None else {"penalty": penalty}
    module = GAN(Painter(), discriminator, regularizers=penalties, ema_kimg=None, accumulate=accumulate, **options)
    module.configure_optimizers()
    engine = Engine(module.phases(), accumulate=accumulate)
    batch = {"image": image(REAL, LABELS, torch.rand(8)), "label": LABELS}
    engine.run(Step(batch, low_precision=low_precision))
    return module


@pytest.mark.parametrize("name", CASES)
def test_everyone_is_told_the_class_of_the_images_at_hand(name: str) -> None:
    options, judged, made = CASES[name]
    module = play(**options)
    head = module.discriminator.head
    assert count([check(*call) for call in head.saw]) == judged
    assert count([whose(labels) for labels in module.generator.mapping.asked]) == {
        k: MIXED * n for k, n in made.items()
    }
    terms = {(check(features, labels), real) for features, labels, real in head.judged}
    assert terms == {("made for fake", False), (next(iter(judged)), True)}
