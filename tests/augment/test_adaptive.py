"""The controller of p, and the images that APA passes off as real."""

import pytest
import torch

from gan_lightning import GAN
from gan_lightning.augment import ADA, APA
from gan_lightning.data import Digits
from gan_lightning.errors import UserError
from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator, StyleGAN2Generator
from gan_lightning.regularizers import R1
from gan_lightning.training.schedules import Cosine
from tests.augment.streams import Score, step
from tests.conftest import fit


class Observed:
    """What the controller reads of a step."""

    def __init__(self, *signs):
        self.real_logits = torch.tensor(signs)

    def average(self, value):
        return value


def play(augment, iterations, signs, images=64):
    for iteration in range(iterations):
        augment.observe(Observed(*signs(augment.p.item())))
        augment.finish(iteration, images)


def test_p_moves_by_the_images_of_an_interval():
    """Batches of 64, every 4 iterations, 500 kimg from 0 to 1: 5.12e-4."""
    augment, steps = ADA(), []
    for iteration in range(12):
        augment.observe(Observed(3.0, 2.0))
        augment.finish(iteration, 64)
        steps.append(augment.p.item())
    assert steps[:4] == [0, 0, 0, pytest.approx(5.12e-4)]
    assert steps[3:] == pytest.approx([5.12e-4] * 4 + [2 * 5.12e-4] * 4 + [3 * 5.12e-4])


def test_p_stays_within_0_and_1_and_where_it_is_on_target():
    augment = ADA(kimg=1)
    play(augment, 4 * 20, lambda p: [1.0])
    assert augment.p == 1
    play(augment, 4 * 20, lambda p: [-1.0, 1.0])  # a mean sign of 0
    assert augment.p == 0
    exact = ADA(p=0.5, target=0.5, kimg=1)
    play(exact, 8, lambda p: [1.0, 1.0, 1.0, -1.0])
    assert exact.p == 0.5 and exact.sign == 0.5


def test_p_waits_while_the_discriminator_does_not_move():
    """Its mean sign would be 0 / 0, which the NaN guard takes for a broken training."""
    augment = ADA(p=0.5, kimg=1)
    for iteration in range(8):
        augment.finish(iteration, 64)
        assert augment.p == 0.5 and augment.sign == 0
    play(augment, 4, lambda p: [1.0])
    assert augment.p.item() == pytest.approx(0.756) and augment.sign == 1
    for iteration in range(4):
        augment.finish(iteration, 64)
    assert augment.p.item() == pytest.approx(0.756) and augment.sign == 1


def test_p_without_a_target_stays():
    augment = ADA(p=0.3, target=None)
    play(augment, 8, lambda p: [1.0])
    assert augment.p.item() == pytest.approx(0.3)


def test_a_schedule_moves_p_over_the_run_and_the_discriminator_does_not():
    augment, found = ADA(p=0.5, target=None, schedule=Cosine(start=0.0, final=1.0)), []
    for seen in (0, 250, 500, 1000):
        augment.begin(seen, 1000)
        play(augment, 8, lambda p: [1.0])
        found.append(augment.p.item())
    assert found == pytest.approx([0.0, 0.5 * (1 - 0.5**0.5) / 2, 0.25, 0.5])
    with pytest.raises(UserError, match="both move p"):
        ADA(schedule=Cosine(start=0.0, final=1.0))
    with pytest.raises(UserError, match="set max_kimg or max_epochs"):
        augment.begin(0, float("inf"))


def test_the_fixed_point_is_where_the_mean_sign_is_the_target():
    """A discriminator that overfits less the more is augmented: E sign D = 1 - p, so p goes to 0.4."""
    augment = ADA(kimg=10)
    play(augment, 400, lambda p: [1.0] * round(1000 * (1 - p / 2)) + [-1.0] * round(1000 * p / 2))
    assert augment.p.item() == pytest.approx(0.4, abs=64 * 4 / 10_000)


def gan(augment, **options):
    torch.manual_seed(0)
    networks = DCGANGenerator(8, 1, width=8, norm="layer"), Discriminator(DCGANBackbone(8, 1, width=8, norm="layer"))
    return GAN(*networks, augment=augment, **options)


def digits():
    return Digits(image_size=8, batch_size=16)


def test_training_steers_p_and_reports_it():
    module = gan(ADA(target=-0.999, kimg=1, interval=2), log_every=2)
    rows = fit(module, digits(), batches=6).loggers[0].rows
    assert module.augment.p.item() == pytest.approx(3 * 2 * 16 / 1000)
    assert [row["augment/p"] for row in rows if "augment/p" in row] == pytest.approx([0.016, 0.048, 0.080])


@pytest.mark.parametrize("augment", [ADA, APA])
def test_at_p_0_training_is_as_without(augment):
    states = []
    for chosen in (None, augment(target=1.0)):  # no mean sign is above it
        module = gan(chosen, regularizers={"r1": R1()})
        fit(module, digits(), batches=3)
        states.append(module.state_dict())
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_pieces_of_a_batch_count_as_the_batch():
    moved = []
    for pieces in (1, 4):
        module = gan(ADA(target=0.0, kimg=1, interval=3), accumulate=pieces)
        module.augment.sign.zero_()
        fit(module, digits(), batches=3)
        moved.append((module.augment.p.item(), module.augment.sign.item()))
    assert moved[0] == pytest.approx(moved[1], abs=1e-6)


def test_a_checkpoint_keeps_p_and_the_signs_since_its_last_change(tmp_path):
    module = gan(ADA(target=-0.999, kimg=1, interval=4))
    trainer = fit(module, digits(), batches=6)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    saved = torch.load(tmp_path / "half.ckpt", weights_only=True)["state_dict"]
    assert saved["augment.p"].item() == pytest.approx(4 * 16 / 1000) and saved["augment.signs"][1] == 2

    whole, resumed = gan(ADA(target=-0.999, kimg=1, interval=4)), gan(ADA(p=0.9))
    fit(whole, digits(), batches=12)
    assert whole.augment.p.item() == pytest.approx(12 * 16 / 1000)
    resumed.load_state_dict(saved)
    assert resumed.augment.p == module.augment.p and torch.equal(resumed.augment.signs, module.augment.signs)


@pytest.mark.parametrize(("p", "share"), [(0.0, 0.0), (0.25, 0.25), (1.0, 1.0)])
def test_apa_replaces_a_share_p_of_the_reals_by_fakes_of_their_own(p, share):
    made = step(augment=APA(p=p), count=400)
    replaced = (made.real != made.batch["image"]).flatten(1).any(1)
    assert replaced.float().mean().item() == pytest.approx(share, abs=0.06)
    assert not (made.real == made.fake).flatten(1).all(1).any()
    assert not made.real.requires_grad
    pseudo = made.generate(made.fresh_latents("pseudo latents"), None)
    torch.testing.assert_close(made.real[replaced], pseudo[replaced])


def test_apas_pseudo_images_share_nothing_with_the_fakes_in_their_place():
    """Where styles mix, neither latent and no crossover: else D could tell a pair by what it has in common."""
    torch.manual_seed(0)
    generator = StyleGAN2Generator(8, 3, latent_dim=4, style_dim=4, mapping_layers=1, channel_max=4, mixing=1.0)
    asked = []
    generator.register_forward_pre_hook(lambda _, z, further: asked.append({"z": z[0], **further}), with_kwargs=True)
    made = step(augment=APA(p=1.0), generator=generator, count=64)
    made.real, made.fake  # noqa: B018
    pseudo, fake = asked
    for name in ("z", "second"):
        assert not torch.isin(pseudo[name], torch.cat([fake["z"], fake["second"]])).any()
    crossovers = torch.stack([pseudo["crossover"], fake["crossover"]]).double()
    assert generator.num_styles > 2 and torch.corrcoef(crossovers)[0, 1].abs() < 0.4


def test_r1_takes_the_gradient_at_what_passes_for_real():
    critic = Score()
    images = torch.zeros(6, 3, 8, 8)
    fooled = step(augment=APA(p=1.0), discriminator=critic, images=images)
    plain = step(discriminator=critic, images=fooled.real)
    torch.testing.assert_close(R1()(fooled), R1()(plain))
