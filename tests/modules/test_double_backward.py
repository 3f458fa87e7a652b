"""Whatever differentiates twice does it in float32 and past the compiler, however the rest of the game runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.modules.latent_optimization import LatentOptimization
from gan_lightning.networks import StyleGAN2Generator
from gan_lightning.regularizers import (
    DRAGAN,
    R1,
    R2,
    GradientPenalty,
    MaxGradientPenalty,
    OneSidedGradientPenalty,
    PathLength,
)
from tests.duel_step import duel_step


class Critic(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 1))
        self.layers[4].weight.data *= 20  # gradients of a norm above 1

    def forward(self, points: Tensor) -> Tensor:
        return self.layers(points).squeeze(1)


class Scales(nn.Module):
    """A generator without a matrix product, which autocast leaves alone: so fakes are equal in both precisions."""

    latent_dim, num_classes, image_shape = 2, 0, (2,)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([0.5, 2.0]))

    def forward(self, z: Tensor) -> Tensor:
        return z * self.scale + 1


class Images(nn.Module):
    """Tells images apart, for path length, which never asks it."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).mean(1)


class Logan:
    """LOGAN's step, and what it costs, in the place of a penalty."""

    role, differentiates = "discriminator", frozenset()

    def __call__(self, seen) -> Tensor:
        return seen.latents.square().sum() + seen.duel.latent_optimization.cost(seen.latents, seen.drawn_latents)


DISCRIMINATORS = [R1(), R2(), R1(every=2), GradientPenalty(), OneSidedGradientPenalty(), MaxGradientPenalty(), DRAGAN()]
PENALTIES = {f"{type(p).__name__} {p.every}": p for p in DISCRIMINATORS} | {"Logan": Logan(), "path": PathLength()}


def seen_by(name: str, low_precision: bool):
    """Return a duel's step in the turn of the penalty's role, and the network that is differentiated twice."""
    torch.manual_seed(0)
    points = torch.randn(8, 2)
    if name == "path":
        style = {"latent_dim": 8, "style_dim": 8, "mapping_layers": 2, "channel_base": 64, "channel_max": 8}
        pair, batch, optimizer = (StyleGAN2Generator(8, 1, **style), Images()), torch.zeros(8, 1, 8, 8), None
    else:
        pair, batch = (Scales(), Critic()), points
        optimizer = LatentOptimization(share=1.0) if name == "Logan" else None
    penalty = PENALTIES[name]
    wanted = penalty.differentiates
    options = {"latent_optimizer": optimizer, "low_precision": low_precision}
    seen = duel_step(*pair, {"image": batch}, penalty.role, wanted, **options)
    return seen, pair[0] if name == "path" else pair[1]


def found(name: str, prepare: Callable[[nn.Module], None], autocast: bool = False) -> tuple[Tensor, list[Tensor]]:
    """Return the penalty and its gradients by the network that moves."""
    seen, network = seen_by(name, autocast)
    prepare(network)
    if name == "path":
        PENALTIES[name].mean.zero_()
    torch.manual_seed(1)  # of the noise in a synthesis
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        value = PENALTIES[name](seen)
    gradients = torch.autograd.grad(value, list(network.parameters()), allow_unused=True, materialize_grads=True)
    assert any(gradient.any() for gradient in gradients)
    return value.detach(), list(gradients)


def same(one: tuple[Tensor, list[Tensor]], other: tuple[Tensor, list[Tensor]]) -> None:
    assert torch.equal(one[0], other[0])
    assert all(map(torch.equal, one[1], other[1]))


@pytest.mark.parametrize("name", PENALTIES)
def test_under_autocast_it_is_float32s(name):
    kinds: list[torch.dtype] = []

    def watch(network: nn.Module) -> None:
        for layer in network.modules():
            layer.register_forward_hook(lambda *seen: kinds.append(seen[2].dtype))

    expected = found(name, lambda network: None)
    same(found(name, watch, autocast=True), expected)
    assert kinds and set(kinds) == {torch.float32}


@pytest.fixture
def ran() -> Iterator[list[str]]:
    """Yield what compiled code has run, by a backend that only notes it."""
    torch._dynamo.reset()
    yield []
    torch._dynamo.reset()


def compiler(ran: list[str]) -> Callable[..., object]:
    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Callable[..., object]:
        def run(*inputs: Tensor) -> object:
            ran.append("compiled")
            return graph(*inputs)

        return run

    return backend


@pytest.mark.parametrize("part", ["whole", "part"])
@pytest.mark.parametrize("name", PENALTIES)
def test_of_a_compiled_network_it_is_the_plain_ones(name, part, ran):
    """Compiled as a whole, or a part of it; a plain forward, such as the loss's, runs what was compiled."""

    def compile_in_place(network: nn.Module) -> None:
        chosen = network if part == "whole" else network.mapping if name == "path" else network.layers
        chosen.compile(backend=compiler(ran))

    expected = found(name, lambda network: None)
    same(found(name, compile_in_place), expected)
    assert not ran
    seen, network = seen_by(name, False)
    compile_in_place(network)
    assert (seen.fake if name == "path" else seen.real_logits).isfinite().all()
    assert ran


def test_a_shared_forward_serves_a_penalty_only_where_it_is_exact(ran):
    """Else the penalty makes its own, and the loss's stays as it is."""
    calls = []

    def forwards(prepare: Callable[[nn.Module], None], autocast: bool = False) -> int:
        seen, network = seen_by("R1 1", autocast)
        network.layers[0].register_forward_hook(lambda *_: calls.append(1))
        prepare(network)
        calls.clear()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            (PENALTIES["R1 1"](seen) + seen.real_logits.mean()).backward()
        return len(calls)

    assert forwards(lambda network: None) == 1
    assert forwards(lambda network: None, autocast=True) == 2
    assert forwards(lambda network: network.compile(backend=compiler(ran))) == 2 and ran == ["compiled"]
