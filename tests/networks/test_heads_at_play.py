"""The heads in a game: who learns from which term, and what they report."""

import math
from functools import partial

import pytest
import torch

from gan_lightning import GAN, UserError
from gan_lightning.data import Ring
from gan_lightning.networks import (
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    EmbeddedClassHead,
    LinearHead,
    MappedProjectionHead,
    MLP2dBackbone,
    MLP2dGenerator,
)
from gan_lightning.networks.heads import (
    AuxiliaryClassifierHead,
    ContraHead,
    DiscriminativeClassifierHead,
    InfoHead,
    MultiHead,
    MultiHingeHead,
    ProjectionHead,
    ReACHead,
    TwinAuxiliaryClassifierHead,
)
from gan_lightning.networks.layers.initialisation import initialise, weighted_layers
from gan_lightning.networks.layers.spectral import spectrally_normalise
from gan_lightning.training.engine import Engine
from gan_lightning.training.step import Step
from tests.conftest import fit
from tests.duel_step import begin

CLASSED = [
    AuxiliaryClassifierHead,
    TwinAuxiliaryClassifierHead,
    DiscriminativeClassifierHead,
    MultiHead,
    MultiHingeHead,
    ContraHead,
    ReACHead,
    ProjectionHead,
]
ALL = [LinearHead, InfoHead, *CLASSED]


def game(head, **options):
    torch.manual_seed(0)
    conditional = 10 if head.needs_labels else 0
    small = {"embedding_dim": 6} if head in (ContraHead, ReACHead) else {}
    discriminator = Discriminator(
        DCGANBackbone(8, 1, width=8), lambda **sizes: head(**sizes, num_classes=conditional, **small)
    )
    return GAN(DCGANGenerator(8, 1, num_classes=conditional, width=8, latent_dim=20), discriminator, **options)


def play(module):
    """Play one iteration without Lightning; return the names of what got a gradient, and of the terms, by player."""
    torch.manual_seed(1)
    module.configure_optimizers()
    names = {p: name for name, p in module.named_parameters()}
    reached = {}

    def step(player):
        reached[player.name] = {names[p] for p in module.parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        for parameter in module.parameters():
            parameter.grad = None

    engine = Engine(module.phases(), scalars=module.scalars, optimizer_step=step)
    batch = {"image": torch.rand(16, 1, 8, 8) * 2 - 1, "label": torch.arange(16) % 10}
    engine.run(Step(batch, scalars=module.scalars))
    return reached, module.scalars.flush()


@pytest.mark.parametrize("head", ALL, ids=lambda head: head.__name__)
def test_gradients_reach_exactly_the_player_who_moves(head):
    module = game(head)
    if head is ProjectionHead:
        torch.nn.init.normal_(module.discriminator.head.embedding.weight)
    reached, _ = play(module)
    generator = {f"generator.{name}" for name, _ in module.generator.named_parameters()}
    discriminator = {f"discriminator.{name}" for name, _ in module.discriminator.named_parameters()}
    shared = {name for name in discriminator if ".head.q." in name}
    unseen = {name for name in shared if name.endswith("q.0.bias")}  # batch norm takes its mean away again
    assert reached["discriminator"] - unseen == discriminator - unseen
    assert reached["generator"] - unseen == (generator | shared) - unseen
    assert bool(shared) == (head is InfoHead)


TERMS = {
    AuxiliaryClassifierHead: {"classification_discriminator", "classification_generator"},
    TwinAuxiliaryClassifierHead: {
        "classification_discriminator", "classification_generator", "twin_discriminator", "twin_generator",
    },
    DiscriminativeClassifierHead: {"classification_discriminator", "classification_generator"},
    ContraHead: {"contrastive_discriminator", "contrastive_generator"},
    ReACHead: {"contrastive_discriminator", "contrastive_generator"},
    InfoHead: {
        "categories_discriminator", "categories_generator", "continuous_discriminator", "continuous_generator",
    },
    MultiHead: set(),
    ProjectionHead: set(),
}  # fmt: skip


@pytest.mark.parametrize("head", TERMS, ids=lambda head: head.__name__)
def test_every_term_is_reported(head):
    _, scalars = play(game(head))
    terms = {name.removeprefix("loss/") for name in scalars if name.startswith("loss/")}
    assert terms == TERMS[head] | {"discriminator", "generator"}


def test_the_multi_hinge_is_the_whole_game():
    _, scalars = play(game(MultiHingeHead))
    terms = {name for name in scalars if name.startswith("loss/")}
    assert terms == {"loss/multi_hinge_discriminator", "loss/multi_hinge_generator"}
    assert {"D(x)", "D(G(z))"} <= scalars.keys()


def test_real_and_fake_terms_of_one_name_add_up():
    module = game(AuxiliaryClassifierHead)
    torch.nn.init.zeros_(module.discriminator.head.classifier.weight)
    _, scalars = play(module)
    assert scalars["loss/classification_discriminator"] == pytest.approx(2 * math.log(10), abs=1e-5)
    assert scalars["loss/classification_generator"] == pytest.approx(math.log(10), abs=1e-5)


@pytest.mark.parametrize("head", [*ALL, EmbeddedClassHead, MappedProjectionHead], ids=lambda head: head.__name__)
def test_every_head_goes_with_spectral_norm(head):
    """As a backbone's `initialise_head` does it: draw all weights first, for a matrix of zeros has no norm."""
    module = game(head)
    initialise(module.discriminator.head)
    spectrally_normalise(module.discriminator)
    reached, scalars = play(module)
    assert reached["generator"] >= {f"generator.{name}" for name, _ in module.generator.named_parameters()}
    assert all(math.isfinite(value) for value in scalars.values())
    for layer in weighted_layers(module.discriminator.head):
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(1, abs=0.1)


def test_infogans_codes_are_among_the_latents_that_the_generator_sees():
    module = game(InfoHead)
    assert module.generator.codes == module.generator_ema.codes == module.discriminator.head.codes
    step = module.duel.at(Step({"image": torch.zeros(64, 1, 8, 8)}))
    one_hot, continuous = step.latents[:, -12:-2], step.latents[:, -2:]
    assert torch.equal(one_hot.sum(1), torch.ones(64)) and len(one_hot.argmax(1).unique()) > 5
    assert continuous.abs().max() <= 1 and continuous.std() > 0.4
    begin(step, "generator")
    assert step.fake_output.extras["latents"] is step.latents


def test_an_infogan_learns_to_show_its_codes():
    """Q tells the category of a fake from where the point is: -log Q falls far below that of a guess, ln 8."""
    torch.manual_seed(0)
    module = GAN(
        MLP2dGenerator(latent_dim=12, width=32),
        Discriminator(MLP2dBackbone(width=32), partial(InfoHead, categories=[8], continuous=0)),
        generator_optimizer=partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.99)),
        discriminator_optimizer=partial(torch.optim.Adam, lr=2e-3, betas=(0.5, 0.99)),
        log_every=10,
    )
    rows = fit(module, Ring(num_points=12_800, batch_size=64), batches=200).loggers[0].rows
    told = [row["loss/categories_generator"] for row in rows if "loss/categories_generator" in row]
    assert told[0] > 1.5 and told[-1] < 0.5


@pytest.mark.parametrize("head", CLASSED, ids=lambda head: head.__name__)
def test_heads_that_need_classes_say_so(head):
    assert head.needs_labels
    with pytest.raises(UserError, match=r"tells classes apart and got num_classes=0: it needs at least 2"):
        head(8)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: AuxiliaryClassifierHead(8, 2, generator_weight=-1), "weights are at least 0"),
        (lambda: InfoHead(8, categories=[1]), "cannot be drawn"),
        (lambda: InfoHead(8, categories=[], continuous=0), "cannot be drawn"),
        (
            lambda: GAN(DCGANGenerator(8, 1, latent_dim=12), Discriminator(DCGANBackbone(8, 1), InfoHead)),
            r"codes take 12 of the generator's latent_dim=12 and leave no noise",
        ),
    ],
)
def test_what_cannot_work_is_a_sentence(build, words):
    with pytest.raises(UserError, match=words):
        build()
