"""What regularisers remember moves once a turn, in however many pieces the batch goes through."""

import pytest
import torch

from gan_lightning import GAN
from gan_lightning.data import Digits
from gan_lightning.networks import (
    DCGANBackbone,
    DCGANGenerator,
    Discriminator,
    StyleGAN2Backbone,
    StyleGAN2Generator,
)
from gan_lightning.regularizers import LeCam, PathLength
from gan_lightning.regularizers.running import RunningMean
from tests.conftest import fit


class Turn:
    """A step that has nothing but the number of its iteration."""

    def __init__(self, iteration):
        self.iteration = iteration


def test_a_running_mean_moves_by_the_mean_of_the_pieces():
    mean, running = torch.tensor(8.0), RunningMean()
    for iteration, pieces in enumerate([(2.0,), (1.0, 3.0, 8.0, 4.0), (0.0, 0.0)]):
        before = mean.clone()
        for value in pieces:
            mean.copy_(running.moved(mean, torch.tensor(value), 0.25, Turn(iteration)))
        assert mean.item() == pytest.approx(0.75 * before.item() + 0.25 * sum(pieces) / len(pieces))


def test_between_turns_there_is_nothing_but_the_mean_to_resume_from():
    means = []
    for resumed in (False, True):
        mean, running = torch.tensor(8.0), RunningMean()
        for iteration in range(3):
            running = RunningMean() if resumed else running
            for value in (iteration, 3.0):
                mean.copy_(running.moved(mean, torch.tensor(value), 0.25, Turn(iteration)))
        means.append(mean)
    assert torch.equal(*means)


def still(parameters):
    return torch.optim.SGD(parameters, lr=0.0)


def gan(regularizers, pieces):
    """Return a GAN that stays as it is, of networks that treat samples independently."""
    torch.manual_seed(0)
    if "lecam" in regularizers:
        generator, backbone = DCGANGenerator(8, 1, width=8, norm="none"), DCGANBackbone(8, 1, width=8, norm="none")
    else:
        generator = StyleGAN2Generator(8, 1, latent_dim=8, style_dim=8, mapping_layers=1, channel_max=8)
        backbone = StyleGAN2Backbone(8, 1, channel_max=8, group_size=1)
    options = {"generator_optimizer": still, "discriminator_optimizer": still, "accumulate": pieces}
    return GAN(generator, Discriminator(backbone), regularizers=regularizers, **options)


@pytest.mark.parametrize(
    "make",
    [lambda: {"lecam": LeCam(start=1, decay=0.5)}, lambda: {"path": PathLength(every=2, decay=0.5)}],
    ids=["lecam", "path_length"],
)
def test_pieces_of_a_batch_count_as_the_batch(make):
    states = []
    for pieces in (1, 4):
        module = gan(make(), pieces)
        fit(module, Digits(image_size=8, batch_size=16), batches=4)
        states.append(module.regularizer_state.state_dict())
    assert all(value != 0 for value in states[0].values())
    torch.testing.assert_close(states[0], states[1])
