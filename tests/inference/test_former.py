"""What former versions wrote: read today it makes the same images, and a training goes on with the moments it had.

Format 1 had the gain sqrt 2 of StyleGAN2's mappings on their weights alone. Its files are made here by multiplying the
biases `mapping.layers.*.bias` of the generator, of its average and of the discriminator's head by sqrt 2.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_generator
from gan_lightning.inference.former import FORMAT, upgrade
from gan_lightning.inference.load import load
from gan_lightning.inference.read import read_state
from gan_lightning.inference.rebuild import build_discriminator
from gan_lightning.modules.gan import GAN
from gan_lightning.networks import (
    Discriminator,
    MappedProjectionHead,
    StyleGAN2Backbone,
    StyleGAN2Generator,
    StyleGANGenerator,
)

Make = Callable[..., Any]
Save = Callable[..., Path]
SMALL = {"num_classes": 3, "latent_dim": 6, "style_dim": 8, "mapping_layers": 2, "channel_max": 4}
BIAS = re.compile(r"(generator\.|generator_ema\.|discriminator\.head\.|)mapping\.layers\.\d+\.bias")


class Mine(StyleGAN2Generator):
    """A user's own class, whose name tells nothing."""


def generator(cls: type[nn.Module] = StyleGAN2Generator) -> nn.Module:
    return cls(8, 1, **SMALL)


def judge() -> Discriminator:
    head = partial(MappedProjectionHead, num_classes=3, mapping_layers=2)
    return Discriminator(StyleGAN2Backbone(8, 1, channel_max=4, group_size=0), head)


def in_format_1(checkpoint: dict[str, Any]) -> dict[str, Any]:
    state, entry = checkpoint["state_dict"], {**checkpoint["gan_lightning"], "format": 1}
    former = {name: tensor * math.sqrt(2) if BIAS.fullmatch(name) else tensor for name, tensor in state.items()}
    return {**checkpoint, "state_dict": former, "gan_lightning": entry}


def mapped_in_format_1(state: dict[str, Tensor], z: Tensor, labels: Tensor) -> Tensor:
    """What format 1 made of the tensors of a mapping: sqrt 2 on the weights, a hundredth on weights and biases."""
    codes = functional.one_hot(labels, 3).float() @ state["embedding.weight"].T / 3**0.5 + state["embedding.bias"]
    values = torch.cat([v / (v.square().mean(1, keepdim=True) + 1e-8).sqrt() for v in (z, codes)], 1)
    for layer in (0, 2):
        weight, bias = state[f"layers.{layer}.weight"], state[f"layers.{layer}.bias"]
        values = functional.leaky_relu(
            values @ (weight * 0.01 * (2 / weight.shape[1]) ** 0.5).T + 0.01 * bias, negative_slope=0.2
        )
    return values


@pytest.mark.parametrize("cls", [StyleGAN2Generator, Mine])
def test_a_generator_of_format_1_makes_the_images_it_made(
    cls: type[nn.Module], weathered: Make, checkpoint: Make, saved: Save
) -> None:
    network, average = weathered(generator(cls)), weathered(generator(cls), seed=1)
    now = checkpoint(network, ema=average)
    new, old = saved(now, "new.ckpt"), saved(in_format_1(now), "old.ckpt")
    for raw in (False, True):
        images = load(new, trusted=[cls], raw=raw).sample(8)
        torch.testing.assert_close(load(old, trusted=[cls], raw=raw).sample(8), images, atol=1e-6, rtol=0)
        assert images.std() > 0.01
    assert load(old, trusted=[cls]).description["format"] == FORMAT == 2


def test_the_mapping_of_format_1_is_the_one_that_stood_in_its_code(weathered: Make) -> None:
    network = weathered(generator())
    content = {"state_dict": network.state_dict(prefix="generator."), "gan_lightning": {"format": 2}}
    former = in_format_1(content)["state_dict"]
    state = {name.removeprefix("generator.mapping."): tensor for name, tensor in former.items()}
    z, labels = torch.randn(5, 6), torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(mapped_in_format_1(state, z, labels), network.mapping(z, labels))


def test_an_export_of_format_1_makes_the_images_it_made(weathered: Make, describe: Make, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = export_generator(weathered(generator()), tmp_path, describe(weathered(generator())))
    images, told = load(path).sample(8), json.loads(path.with_suffix(".json").read_text())
    assert told["format"] == FORMAT
    former = in_format_1({"state_dict": load_file(path), "gan_lightning": told})
    save_file(former["state_dict"], path)
    path.with_suffix(".json").write_text(json.dumps(former["gan_lightning"]))
    torch.testing.assert_close(load(path).sample(8), images, atol=1e-6, rtol=0)


def test_a_mapped_head_of_format_1_gives_the_logits_it_gave(weathered: Make, judged: Make, saved: Save) -> None:
    discriminator = weathered(judge())
    path = saved(in_format_1(judged(weathered(generator()), discriminator)))
    images, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 0])
    logits = build_discriminator(path, {})(images, labels).logits
    torch.testing.assert_close(logits, discriminator(images, labels).logits)


def test_stylegan_keeps_its_gain_on_the_weights(weathered: Make, checkpoint: Make) -> None:
    content = checkpoint(weathered(generator(StyleGANGenerator)), format=1)
    upgraded = upgrade(content)
    assert upgraded["gan_lightning"]["format"] == FORMAT
    assert all(torch.equal(tensor, content["state_dict"][name]) for name, tensor in upgraded["state_dict"].items())


def test_the_present_format_stays_as_it_is_and_a_former_one_is_not_written_over(weathered: Make, judged: Make) -> None:
    now = judged(weathered(generator()), weathered(judge()))
    assert upgrade(now) == now
    former = in_format_1(now)
    before = copy.deepcopy(former)
    changed = {
        name for name, tensor in upgrade(former)["state_dict"].items() if tensor is not former["state_dict"][name]
    }
    assert all(torch.equal(tensor, before["state_dict"][name]) for name, tensor in former["state_dict"].items())
    assert changed == {
        f"{owner}.mapping.layers.{n}.bias" for owner in ("generator", "discriminator.head") for n in (0, 2)
    }
    with pytest.raises(UserError, match=r"The checkpoint has format 3, .* reads up to 2: install a newer one"):
        upgrade({"gan_lightning": {"format": 3}, "state_dict": {}})


# Going on ------------------------------------------------------------------------------------------------------------


class Saved(GAN):
    """A game whose description needs no trainer."""

    batches_per_epoch = 10


def game(optimizer: Callable[..., Any]) -> GAN:
    torch.manual_seed(0)
    return Saved(generator(), judge(), generator_optimizer=optimizer, discriminator_optimizer=optimizer)


def checkpoint_of(module: GAN, optimizers: list[torch.optim.Optimizer]) -> dict[str, Any]:
    """Return what Lightning would save of a game."""
    loops = {"fit_loop": {"epoch_progress": {"total": {}, "current": {}}}}
    loops["fit_loop"]["epoch_loop.batch_progress"] = {"total": {}, "current": {}}
    states = [optimizer.state_dict() for optimizer in optimizers]
    checkpoint = {"state_dict": module.state_dict(), "optimizer_states": states, "loops": loops}
    module.on_save_checkpoint(checkpoint)
    return copy.deepcopy(checkpoint)


def stepped(module: GAN, optimizers: list[torch.optim.Optimizer], seed: int, former: bool = False) -> None:
    """Move all parameters by made-up gradients; those of a mapping's biases are sqrt 2 smaller in format 1."""
    stream = torch.Generator().manual_seed(seed)
    networks = [(f"{name}.", network) for name, network in module.networks().items()]
    for prefix, network in networks:
        for name, parameter in network.named_parameters():
            factor = math.sqrt(0.5) if former and BIAS.fullmatch(prefix + name) else 1
            parameter.grad = factor * torch.randn(parameter.shape, generator=stream)
    for optimizer in optimizers:
        optimizer.step()


OPTIMIZERS = {
    "adam": (partial(torch.optim.Adam, lr=0.01), {"exp_avg": 2**0.5, "exp_avg_sq": 2}),
    "amsgrad": (
        partial(torch.optim.AdamW, amsgrad=True, weight_decay=0.0),
        {"exp_avg": 2**0.5, "exp_avg_sq": 2, "max_exp_avg_sq": 2},
    ),
    "sgd": (partial(torch.optim.SGD, momentum=0.9), {"momentum_buffer": 2**0.5}),
    "rmsprop": (
        partial(torch.optim.RMSprop, momentum=0.9, centered=True),
        {"square_avg": 2, "grad_avg": 2**0.5, "momentum_buffer": 1},
    ),
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_moments_of_the_biases_are_those_of_their_larger_gradients(kind: str) -> None:
    """Both games get the same history: format 1's gradients by these biases were sqrt 2 smaller, all else was equal."""
    factory, factors = OPTIMIZERS[kind]
    now, then = game(factory), game(factory)
    for module, former in ((now, False), (then, True)):
        module.optimizers_made = module.configure_optimizers()
        for seed in range(3):
            stepped(module, module.optimizers_made, seed, former)
    expected, old = (checkpoint_of(module, module.optimizers_made) for module in (now, then))
    old["gan_lightning"]["format"] = 1
    before = copy.deepcopy(old["optimizer_states"])
    now.on_load_checkpoint(old)  # as Lightning does, before it loads the tensors and the optimisers from this dict
    names = [[f"{p}.{n}" for n, _ in network.named_parameters()] for p, network in now.networks().items()]
    for index, player in enumerate(names):
        for number, name in enumerate(player):
            was, became, wanted = (
                s[index]["state"][number] for s in (before, old["optimizer_states"], expected["optimizer_states"])
            )
            for key, factor in factors.items():
                torch.testing.assert_close(became[key], wanted[key])
                torch.testing.assert_close(became[key], was[key] * (factor if BIAS.fullmatch(name) else 1))
    assert old["gan_lightning"]["format"] == FORMAT


def test_a_state_of_format_1_read_without_a_game_has_no_optimisers(
    weathered: Make, checkpoint: Make, saved: Save
) -> None:
    content = checkpoint(weathered(generator()))
    assert "optimizer_states" in read_state(saved(content))
    assert "optimizer_states" not in read_state(saved(in_format_1(content)))
