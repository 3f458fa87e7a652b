"""Progressive growing: the schedule, what real images show, and a stage that hangs on the images seen alone."""

import pytest
import torch

from gan_lightning.cli.preflight import check_arguments
from gan_lightning.data import Digits
from gan_lightning.errors import UserError
from gan_lightning.modules import ProgressiveGAN
from gan_lightning.networks import DCGANBackbone, DCGANGenerator, Discriminator, ProGANBackbone, ProGANGenerator
from gan_lightning.training.growth import Growth
from tests.conftest import fit


def test_the_schedule_holds_each_resolution_and_fades_the_next_in():
    growth = Growth(fade_kimg=2, stable_kimg=1, start_resolution=4)
    seen = {0: (0, 1.0), 999: (0, 1.0), 1000: (1, 0.0), 2000: (1, 0.5), 3000: (1, 1.0), 4500: (2, 0.25)}
    assert {images: growth.at(images, 4) for images in seen} == seen
    assert growth.at(8999, 4) == (3, pytest.approx(0.9995)) and growth.at(10**9, 4) == (3, 1.0)
    assert Growth(0, 1, 8).at(1000, 4) == (2, 1.0)


@pytest.mark.parametrize("options", [{"fade_kimg": -1}, {"fade_kimg": 0, "stable_kimg": 0}, {"start_resolution": 6}])
def test_bad_schedules_are_sentences(options):
    with pytest.raises(UserError, match=r"growth\."):
        Growth(**options)


def gan(**growth):
    torch.manual_seed(0)
    generator = ProGANGenerator(16, 1, latent_dim=8, channel_max=8)
    schedule = Growth(**{"fade_kimg": 0.032, "stable_kimg": 0.032, **growth})
    return ProgressiveGAN(generator, Discriminator(ProGANBackbone(16, 1, channel_max=8)), growth=schedule, log_every=1)


def digits():
    return Digits(image_size=16, batch_size=16)


def test_all_networks_grow_together_with_the_images_seen():
    module = gan()
    stages = []
    step = module.training_step

    def watched(batch, batch_idx):
        step(batch, batch_idx)
        networks = (module.generator, module.discriminator.backbone, module.generator_ema)
        assert len({(n.level, n.alpha.item(), n.stage.item()) for n in networks}) == 1
        stages.append((module.generator.level, module.generator.alpha.item()))

    module.training_step = watched
    fit(module, digits(), batches=8)
    assert stages == [(0, 1.0), (0, 1.0), (1, 0.0), (1, 0.5), (1, 1.0), (1, 1.0), (2, 0.0), (2, 0.5)]


def test_optimisers_forget_at_a_new_stage_only():
    module, steps = gan(), []
    step = module.training_step

    def watched(batch, batch_idx):
        step(batch, batch_idx)
        steps.append(int(max(state["step"] for state in module.players["generator"].optimizer.state.values())))

    module.training_step = watched
    fit(module, digits(), batches=8)
    assert steps == [1, 2, 1, 2, 3, 4, 1, 2]


def test_real_images_show_what_the_stage_does_and_fade_alike():
    module, images = gan(), torch.randn(2, 1, 16, 16)
    network = module.generator
    for moved in (network, module.discriminator.backbone):
        moved.grow(1, 0.0)
    coarse = module.shown(images)
    torch.testing.assert_close(coarse, coarse[:, :, ::4, ::4].repeat_interleave(4, 2).repeat_interleave(4, 3))
    network.grow(1, 1.0)
    fine = module.shown(images)
    torch.testing.assert_close(fine[:, :, ::2, ::2], torch.nn.functional.avg_pool2d(images, 2))
    network.grow(1, 0.25)
    torch.testing.assert_close(module.shown(images), 0.75 * coarse + 0.25 * fine)
    network.grow(2, 1.0)
    assert torch.equal(module.shown(images), images)


@pytest.mark.parametrize("stop", [1, 3, 6])
def test_resumed_is_uninterrupted_at_any_stage(tmp_path, stop):
    whole = gan()
    fit(whole, digits(), batches=8)
    first = gan()
    trainer = fit(first, digits(), batches=stop)
    trainer.save_checkpoint(tmp_path / "saved.ckpt")
    checkpoint = torch.load(tmp_path / "saved.ckpt", weights_only=True)
    second = gan()
    second.load_state_dict(checkpoint["state_dict"])
    second.iteration, second.images_seen = first.iteration, first.images_seen
    assert second.generator.level == first.generator.level
    take_up = second.configure_optimizers

    def with_moments():
        optimizers = take_up()
        for optimizer, state in zip(optimizers, checkpoint["optimizer_states"], strict=True):
            optimizer.load_state_dict(state)
        return optimizers

    second.configure_optimizers = with_moments
    fit(second, digits(), batches=8 - stop)
    mine, theirs = second.state_dict(), whole.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs)


def test_options_reach_the_game_and_networks_must_grow():
    assert gan().options.ema_kimg == 10.0
    with pytest.raises(UserError, match="needs networks that grow"):
        ProgressiveGAN(DCGANGenerator(8, 1, width=8), Discriminator(DCGANBackbone(8, 1, width=8)))
    with pytest.raises(UserError, match="start_resolution=32 is larger than the images: set it to 16"):
        gan(start_resolution=32)


def test_a_misspelt_option_is_found_among_those_passed_on():
    node = {"_target_": "gan_lightning.modules.ProgressiveGAN", "growth": None, "d_steps": 1}
    check_arguments("model", node)
    with pytest.raises(UserError, match="model has no option d_stepz: ProgressiveGAN takes d_steps"):
        check_arguments("model", {**node, "d_stepz": 1})
