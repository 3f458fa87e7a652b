"""The GAN module in Lightning: what each loss and option does to training as a whole."""

from functools import partial

import lightning as L
import pytest
import torch
from torch import nn

from gan_lightning import GAN, UserError
from gan_lightning.data import Digits, Ring
from gan_lightning.losses import AdversarialLoss, Hinge, NonSaturating, Relativistic, Wasserstein
from gan_lightning.networks import (
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    MLP2dBackbone,
    MLP2dGenerator,
    ProjectionHead,
)
from gan_lightning.regularizers import R1, R2, GradientPenalty, LatentDiversity, WeightClipping
from gan_lightning.training.schedules import LinearDecay
from tests.conftest import fit


def points_gan(**options):
    torch.manual_seed(0)
    return GAN(MLP2dGenerator(width=16), Discriminator(MLP2dBackbone(width=16)), **options)


def ring():
    return Ring(num_points=1024, batch_size=64)


def weights(network):
    return [p.detach().clone() for p in network.parameters()]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": Wasserstein(), "regularizers": {"gradient_penalty": GradientPenalty()}, "d_steps": 3},
        {"loss": Relativistic(), "regularizers": {"r1": R1(), "r2": R2()}},
        {"loss": Hinge(), "regularizers": {"r1": R1(every=4)}, "accumulate": 2, "clip_norm": 1.0},
        {"loss": Wasserstein(), "regularizers": {"weight_clipping": WeightClipping(0.05)}},
    ],
)
def test_training_moves_both_players_and_reports_every_term(options):
    module = points_gan(**options, log_every=2)
    before = weights(module.generator), weights(module.discriminator)
    trainer = fit(module, ring(), batches=6)
    after = weights(module.generator), weights(module.discriminator)
    for old, new in zip(before, after, strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(old, new, strict=True))
    assert module.images_seen == 6 * 64 and module.iteration == 6
    names = set().union(*[row.keys() for row in trainer.loggers[0].rows])
    penalties = {f"loss/{name}" for name, r in (options.get("regularizers") or {}).items() if hasattr(r, "weight")}
    assert names >= {"loss/discriminator", "loss/generator", "D(x)", "D(G(z))", "gradient_norm/generator", *penalties}
    assert all(torch.isfinite(torch.tensor(list(row.values()))).all() for row in trainer.loggers[0].rows)


@pytest.mark.parametrize(("loss", "paired"), [(Relativistic(), True), (Hinge(), False)])
def test_a_loss_that_pairs_images_asks_for_fakes_of_the_real_ones_classes(loss, paired):
    seen = []

    class Watched(GAN):
        def generator_loss(self, step):
            seen.append(torch.equal(step.fake_labels, step.labels))
            return super().generator_loss(step)

    networks = DCGANGenerator(16, 1, num_classes=10, width=4), DCGANBackbone(16, 1, width=4)
    module = Watched(networks[0], Discriminator(networks[1], partial(ProjectionHead, num_classes=10)), loss=loss)
    fit(module, Digits(image_size=16, batch_size=32), batches=2)
    assert seen == [paired, paired]


class InOnePiece(AdversarialLoss):
    """The same game as another loss's, not known to be a sum of a real and a fake term."""

    def __init__(self, loss):
        self.loss = loss

    def discriminator(self, real_logits, fake_logits):
        return self.loss.discriminator(real_logits, fake_logits)

    def generator(self, real_logits, fake_logits):
        return self.loss.generator(real_logits, fake_logits)


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("loss", [NonSaturating(0.9), Hinge(), Wasserstein()])
def test_real_images_going_backward_before_the_fakes_are_judged_changes_nothing(loss, accumulate):
    runs = []
    for played in (loss, InOnePiece(loss)):
        module = points_gan(loss=played, accumulate=accumulate, log_every=1)
        calls = []
        module.discriminator.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        fit(module, ring(), batches=3)
        assert len(calls) == 3 * 3 * accumulate  # real, fake, and fake again after the discriminator has moved
        runs.append((weights(module.generator) + weights(module.discriminator), module.latest["loss/discriminator"]))
    torch.testing.assert_close(runs[0], runs[1], rtol=1e-5, atol=1e-6)


def test_the_same_seed_gives_the_same_run_whatever_the_global_stream():
    runs = []
    for noise in (1, 2):
        module = points_gan(seed=5)
        torch.manual_seed(noise)
        fit(module, ring(), batches=5)
        runs.append(module.state_dict())
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])


def test_clipped_weights_stay_within_the_limit_after_every_step():
    module = points_gan(loss=Wasserstein(), regularizers={"weight_clipping": WeightClipping(0.02)})
    fit(module, ring(), batches=4)
    assert max(p.abs().max() for p in module.discriminator.parameters()) <= 0.02
    assert max(p.abs().max() for p in module.generator.parameters()) > 0.02


def test_a_lazy_penalty_plays_every_kth_step_k_times_as_strong():
    module = points_gan(regularizers={"r1": R1(weight=2.0, every=4)}, discriminator_optimizer=sgd)
    seen = []
    module.regularizers["r1"].penalty = lambda step: seen.append(step.iteration) or step.real_logits.mean() * 0 + 1
    trainer = fit(module, ring(), batches=9, log_every=1)
    assert seen == [3, 7]
    assert [row["loss/r1"] for row in trainer.loggers[0].rows if "loss/r1" in row] == [8.0, 8.0]


def test_a_lazy_penalty_of_the_generator_counts_its_own_steps():
    """Two steps of the discriminator for one of the generator: each third of these is in iterations 5, 11, ..."""
    module = points_gan(regularizers={"diversity": LatentDiversity(weight=2.0, every=3)}, d_steps=2)
    seen = []
    module.regularizers["diversity"].penalty = lambda step: seen.append(step.iteration) or step.fake.mean() * 0 + 1
    trainer = fit(module, ring(), batches=13, log_every=1)
    assert seen == [5, 11]
    assert [row["loss/diversity"] for row in trainer.loggers[0].rows if "loss/diversity" in row] == [6.0, 6.0]


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.01)


def test_in_a_warm_up_the_lazy_penalties_of_the_player_wait_too():
    """The discriminator waits for 4 iterations, then its penalty plays after every second step of its own."""
    game, moved = points_gan(regularizers={"r1": R1(every=2)}), []
    game.starts["discriminator"] = 4
    start = weights(game.discriminator)

    class Watch(L.Callback):
        def on_train_batch_end(self, trainer, module, *_):
            moved.append(not all(map(torch.equal, start, weights(module.discriminator))))

    fit(game, ring(), batches=6, callbacks=[Watch()])
    assert moved == [False] * 4 + [True] * 2
    due = [[phase.name for phase in game.engine.phases if phase.due(iteration)] for iteration in range(7)]
    assert due == [["generator"]] * 4 + [["discriminator", "generator"], ["discriminator", "generator", "r1"]] + [
        ["discriminator", "generator"]
    ]


def test_rates_follow_the_schedule_over_the_runs_images():
    module = points_gan(schedule=LinearDecay(), generator_optimizer=sgd, log_every=1)
    rows = fit(module, ring(), batches=8).loggers[0].rows
    assert [row["lr/generator"] for row in rows] == pytest.approx([0.01 * (1 - i / 8) for i in range(8)])


@pytest.mark.parametrize("conditioning", ["concat", "projection"])
def test_a_conditional_gan_gives_each_class_its_images(conditioning):
    """Both players learn from labels: swapping them changes the discriminator's answer and the generator's images."""
    maps = 10 if conditioning == "concat" else 0
    head = Discriminator.__init__.__defaults__[0] if maps else lambda **k: ProjectionHead(**k, num_classes=10)
    module = GAN(
        DCGANGenerator(8, 1, num_classes=10, width=8),
        Discriminator(DCGANBackbone(8, 1, label_maps=maps, width=8, norm="layer"), head),
    )
    fit(module, Digits(image_size=8, batch_size=64), batches=8)
    zeros, ones = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)
    first, second = module.sample(0, 4, labels=zeros), module.sample(0, 4, labels=ones)
    assert not torch.allclose(first, second)
    assert not torch.allclose(module.discriminator(first, zeros).logits, module.discriminator(first, ones).logits)


def test_samples_come_from_the_average_unless_raw():
    module = points_gan(ema_kimg=1000, ema_rampup=None)
    start = module.sample(0, 8)
    fit(module, ring(), batches=5)
    torch.testing.assert_close(module.sample(0, 8), start, atol=1e-2, rtol=0)  # the average hardly moved
    assert not torch.equal(module.sample(0, 8, raw=True), module.sample(0, 8))
    assert points_gan(ema_kimg=None).generator_ema is None
    with pytest.raises(UserError, match=r"model\.ema_kimg=-1 is out of range"):
        points_gan(ema_kimg=-1)


def test_sampling_disturbs_nothing():
    module = GAN(DCGANGenerator(8, 1, width=8), Discriminator(DCGANBackbone(8, 1, width=8)))
    before, state = {k: v.clone() for k, v in module.state_dict().items()}, torch.get_rng_state()
    module.sample(0, 8)
    assert module.generator.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())


def test_dropout_differs_between_iterations_and_repeats_with_the_seed():
    class Dropped(nn.Module):
        def __init__(self):
            super().__init__()
            self.masks: list[torch.Tensor] = []
            self.layers = nn.Sequential(nn.Linear(2, 16), nn.Dropout(0.5))
            self.out = nn.Linear(16, 1)

        def forward(self, images, labels=None):
            hidden = self.layers(images)
            self.masks.append(hidden.detach() == 0)
            return self.out(hidden)

    modules = []
    for _ in range(2):
        torch.manual_seed(0)
        modules.append(GAN(MLP2dGenerator(width=4), Dropped(), seed=1))
        fit(modules[-1], ring(), batches=2)
    first, second = (module.discriminator.masks for module in modules)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], first[3])


@pytest.mark.parametrize("name", ["d_steps", "accumulate", "log_every"])
def test_counts_below_one_are_a_sentence(name):
    with pytest.raises(UserError, match=f"{name}=0 is out of range"):
        points_gan(**{name: 0})


@pytest.mark.parametrize(
    ("classes", "said"),
    [(0, r"ProjectionHead needs labels \(data\.num_classes=0\)"), (10, "knows 5 classes, which does not fit")],
)
def test_a_head_for_other_classes_than_the_datas_is_a_sentence_before_training(classes, said):
    data = Digits(image_size=8, channels=1, num_classes=classes, batch_size=8)
    fitting, other = (
        GAN(
            DCGANGenerator(8, 1, width=4), Discriminator(DCGANBackbone(8, 1, width=4), partial(ProjectionHead, **known))
        )
        for known in ({"num_classes": 10}, {"num_classes": 5})
    )
    with pytest.raises(UserError, match=said):
        fit(other, data)
    assert other.iteration == 0
    fitting.check(Digits(image_size=8, channels=1, num_classes=10, batch_size=8))


def test_a_schedule_without_an_end_is_a_sentence():
    module = points_gan(schedule=LinearDecay())
    with pytest.raises(UserError, match="needs the run's length"):
        fit(module, ring(), batches=2, max_epochs=-1)


def test_bfloat16_keeps_penalties_in_float32():
    """Under autocast the penalty makes a float32 forward of its own, so its value is that of full precision."""
    values = {}
    for precision in ("32-true", "bf16-mixed"):
        module = points_gan(
            regularizers={"r1": R1()}, log_every=1, generator_optimizer=sgd, discriminator_optimizer=sgd
        )
        rows = fit(module, ring(), batches=1, precision=precision).loggers[0].rows
        values[precision] = rows[0]["loss/r1"]
    assert values["bf16-mixed"] == pytest.approx(values["32-true"], rel=1e-6)


def test_lightnings_trainer_needs_nothing_else_of_ours():
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=1, limit_train_batches=2, accelerator="cpu", enable_model_summary=False, **quiet)
    module = points_gan()
    trainer.fit(module, torch.utils.data.DataLoader(Points(), batch_size=8))
    assert module.iteration == 2


class Points(torch.utils.data.Dataset):
    def __len__(self):
        return 32

    def __getitem__(self, index):
        return {"image": torch.tensor([index / 32, 0.5])}
