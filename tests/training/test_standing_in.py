"""Copies that stand in for a network: an unrolled discriminator, Metz et al. 2016, arXiv 1611.02163, and real steps."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.augment import InstanceNoise
from gan_lightning.errors import UserError
from gan_lightning.modules.duel import Duel
from gan_lightning.networks.layers.spectral import spectral_norm
from gan_lightning.training.engine import Engine, Phase
from gan_lightning.training.player import Player
from gan_lightning.training.step import Step
from tests.duel_step import begin

RATE = 0.3


class Points(nn.Module):
    """A generator of points; counts its forwards."""

    latent_dim, num_classes, image_shape = 2, 0, (2,)

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.calls = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2)), 0

    def forward(self, z: Tensor) -> Tensor:
        self.calls += 1
        return self.layers(z.to(self.layers[0].weight.dtype))


def critic(kind: str) -> nn.Module:
    if kind == "spectral":
        return nn.Sequential(spectral_norm(nn.Linear(2, 6)), nn.Tanh(), spectral_norm(nn.Linear(6, 1)), nn.Flatten(0))
    norm = [nn.BatchNorm1d(6)] if kind == "batch" else []
    return nn.Sequential(nn.Linear(2, 6), *norm, nn.Tanh(), nn.Linear(6, 1), nn.Flatten(0))


def duel(kind: str = "plain", dtype: torch.dtype = torch.float64) -> Duel:
    torch.manual_seed(0)
    return Duel(Points().to(dtype), critic(kind).to(dtype))


def step(dtype: torch.dtype = torch.float64, **options) -> Step:
    points = torch.randn(6, 2, generator=torch.Generator().manual_seed(1))
    return Step({"image": points.to(dtype)}, **options)


def discriminator_loss(of: Duel, at: Step) -> Tensor:
    seen = of.at(at)
    return of.loss.discriminator(seen.real_logits, seen.fake_logits)


def generator_loss(of: Duel, at: Step) -> Tensor:
    return of.loss.generator(None, of.at(at).fake_logits)


def unrolled(of: Duel, at: Step, steps: int) -> Step:
    """Return the step after so many plain gradient steps of copies of the discriminator."""
    copies = {name: p.detach().clone().requires_grad_() for name, p in of.discriminator.named_parameters()}
    for _ in range(steps):
        at = at.standing_in({of.discriminator: copies})
        with torch.autocast("cpu", enabled=False):
            gradients = torch.autograd.grad(discriminator_loss(of, at), copies.values(), create_graph=True)
            copies = {name: p - RATE * g for (name, p), g in zip(copies.items(), gradients, strict=True)}
    return at.standing_in({of.discriminator: copies})


def played(of: Duel, steps: int, **options) -> tuple[Tensor, list[Tensor]]:
    """Return the generator's loss against the unrolled discriminator, and its gradients."""
    at = begin(of.at(step(of.generator.layers[0].weight.dtype, **options)), "generator").step
    loss = generator_loss(of, unrolled(of, at, steps))
    return loss.detach(), list(torch.autograd.grad(loss, of.generator.parameters()))


def really_stepped(of: Duel, steps: int) -> tuple[Tensor, nn.Module]:
    """Return the generator's loss after so many real steps of a real copy of the discriminator, and that."""
    other = Duel(of.generator, copy.deepcopy(of.discriminator).requires_grad_(True))
    optimizer = torch.optim.SGD(other.discriminator.parameters(), lr=RATE)
    for _ in range(steps):
        optimizer.zero_grad()
        discriminator_loss(other, begin(other.at(step()), "discriminator").step).backward()
        optimizer.step()
    return generator_loss(other, step()).detach(), other.discriminator


def tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in network.state_dict().values()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


@pytest.mark.parametrize("kind", ["plain", "batch", "spectral"])
@pytest.mark.parametrize("steps", [1, 3])
def test_loss_and_gradients_are_those_of_real_steps(kind, steps):
    """The gradients are compared with differences of the loss after real steps, which know of no graph.

    Not under spectral norm: its vectors follow the weights in the differences, and are constants to gradients.
    """
    of = duel(kind)
    live = tensors(of.discriminator)
    loss, gradients = played(of, steps)
    assert same(tensors(of.discriminator), live)  # also running statistics and singular vectors
    torch.testing.assert_close(loss, really_stepped(of, steps)[0])
    for parameter, gradient in zip(of.generator.parameters(), gradients, strict=True):
        assert gradient.any()
        for place in range(0, parameter.numel() if kind != "spectral" else 0, 3):
            torch.testing.assert_close(
                gradient.flatten()[place], slope(of, steps, parameter, place), rtol=1e-5, atol=1e-8
            )


@torch.no_grad()
def slope(of: Duel, steps: int, parameter: nn.Parameter, place: int, by: float = 1e-5) -> Tensor:
    values, several = parameter.view(-1), []
    for move in (by, -2 * by, by):
        values[place] += move
        with torch.enable_grad():
            several.append(really_stepped(of, steps)[0])
    return (several[0] - several[1]) / (2 * by)


@pytest.mark.parametrize("kind", ["batch", "spectral"])
def test_buffers_go_on_from_copies_to_copies_as_in_real_steps(kind):
    of = duel(kind)
    at = unrolled(of, begin(of.at(step()), "generator").step, 2)
    generator_loss(of, at)
    real = really_stepped(of, 2)[1]
    copies = at._stand_ins[of.discriminator]
    assert copies.keys() == real.state_dict().keys()
    for name, tensor in real.state_dict().items():
        torch.testing.assert_close(copies[name].detach(), tensor)


@pytest.mark.parametrize("kind", ["plain", "batch", "spectral"])
def test_without_a_step_it_is_the_plain_loss_bit_for_bit(kind):
    loss, gradients = played(duel(kind, torch.float32), 0)
    of = duel(kind, torch.float32)
    plain = generator_loss(of, begin(of.at(step(torch.float32)), "generator").step)
    assert torch.equal(loss, plain)
    assert same(gradients, list(torch.autograd.grad(plain, of.generator.parameters())))


def test_what_does_not_come_from_the_discriminator_is_made_once():
    """Whichever step asks first: the whole one reads what was made beside copies, too."""
    of = duel()
    at = begin(of.at(step()), "generator").step
    fakes = of.at(unrolled(of, at, 3)).fake
    assert of.at(at).fake is fakes and of.generator.calls == 1


@pytest.mark.parametrize("differentiates", [frozenset(), frozenset({"fake"})])
@pytest.mark.parametrize("augment", [None, InstanceNoise(kimg=1)])
def test_a_generators_copies_are_not_shown_the_live_ones_fakes(augment, differentiates):
    """What is made of the fakes, augmented or as leaves for a penalty, is not shared with the live generator's."""
    of = replace(duel(dtype=torch.float32), augment=augment)
    at = begin(of.at(step(torch.float32)), "discriminator", differentiates).step
    live = of.at(at).shown("fake").detach().clone()
    still = {name: torch.zeros_like(p) for name, p in of.generator.named_parameters()}
    seen = of.at(at.standing_in({of.generator: still}))
    assert not seen.fake.any() and not torch.equal(seen.shown("fake"), live)
    assert not torch.equal(seen.fake_logits, of.at(at).fake_logits)
    assert torch.equal(of.at(at).shown("fake"), live)


def test_copies_are_remembered_by_a_value_of_the_whole_step():
    """A value made with copies is forgotten when a network of it moves, as any other."""
    of = duel()
    at = begin(of.at(step()), "generator").step
    loss = lambda: at.value("unrolled", lambda: generator_loss(of, unrolled(of, at, 1)))  # noqa: E731
    assert loss() is loss()
    (made,) = at.memory._kept["unrolled"]
    assert made.networks == {of.generator, of.discriminator}


def test_the_live_discriminator_plays_on_untouched_in_a_game():
    """With both turns, by the engine: the discriminator moves by its own turn alone, its buffers as well."""
    runs = []
    for steps in (0, 2):
        of, seen = duel("batch"), []
        moving = {"discriminator": of.discriminator, "generator": of.generator}
        players = {
            n: Player(n, m.parameters(), torch.optim.Adam(m.parameters(), fused=True)) for n, m in moving.items()
        }

        def generators(at: Step, of: Duel = of, steps: int = steps, seen: list = seen) -> dict[str, Tensor]:
            seen.append(tensors(of.discriminator))
            loss = generator_loss(of, unrolled(of, at, steps))
            assert same(seen[-1], tensors(of.discriminator))
            return {"generator": loss}

        judge = {players["discriminator"]: lambda at, of=of: {"discriminator": discriminator_loss(of, at)}}
        Engine([Phase("discriminator", judge), Phase("generator", {players["generator"]: generators})]).run(step())
        runs.append((seen[0], tensors(of.generator)))
        assert same(seen[0], tensors(of.discriminator))
        assert of.generator.calls == 1
    assert same(runs[0][0], runs[1][0]) and not same(runs[0][1], runs[1][1])


# Exactly -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def compiled() -> Iterator[list[str]]:
    """Yield what compiled code has run, by a backend that only notes it."""
    torch._dynamo.reset()
    yield []
    torch._dynamo.reset()


def compile_in_place(network: nn.Module, ran: list[str]) -> None:
    def backend(graph: torch.fx.GraphModule, _: list[Tensor]):
        def run(*inputs: Tensor):
            ran.append("compiled")
            return graph(*inputs)

        return run

    network.compile(backend=backend)


def test_copies_run_past_the_compiler(compiled):
    of = duel(dtype=torch.float32)
    expected = played(of, 2)
    compile_in_place(of.discriminator, compiled)
    of.discriminator(torch.zeros(6, 2))
    assert compiled == ["compiled"]
    loss, gradients = played(of, 2)
    assert compiled == ["compiled"]
    assert torch.equal(loss, expected[0]) and same(gradients, expected[1])


def test_copies_run_in_single_precision_under_autocast():
    """The fakes come in bfloat16; all that the discriminator does of them, and its gradients, is in float32."""
    of, kinds = duel(dtype=torch.float32), []
    for layer in of.discriminator:
        layer.register_forward_hook(lambda *seen: kinds.append(seen[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        at = begin(of.at(step(torch.float32, low_precision=True)), "generator").step
        fakes = of.at(at).fake.detach()
        loss = generator_loss(of, unrolled(of, at, 2))
    assert fakes.dtype == torch.bfloat16 and set(kinds) == {torch.float32}
    other = Duel(lambda z: fakes.float(), of.discriminator)
    other.generator.latent_dim = 2
    torch.testing.assert_close(loss.detach(), generator_loss(other, unrolled(other, step(torch.float32), 2)).detach())


# Mistakes ------------------------------------------------------------------------------------------------------------


def test_a_copy_of_nothing_is_refused():
    of = duel()
    with pytest.raises(UserError, match=r"1\.weight cannot stand in: Sequential has no parameter of that name"):
        step().standing_in({of.discriminator: {"1.weight": torch.zeros(1)}})


def test_a_part_does_not_run_with_live_parameters_in_silence():
    of = duel()
    at = step().standing_in({of.discriminator: dict(of.discriminator.named_parameters())})
    with pytest.raises(UserError, match="Linear shares parameters with a network for which copies stand in"):
        at.run(of.discriminator[0], at.batch["image"])
    assert at.run(of.generator, torch.zeros(6, 2)).shape == (6, 2)
