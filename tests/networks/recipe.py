"""Networks by numbers: parameters and inputs by a recipe, and what the network makes of them.

The recipe begins with whole numbers and goes on in double precision, so the numbers hang on no machine and on no
initialisation, any other code can be given the same parameters, and an epsilon that changes is seen. The numbers in the
tests named test_fidelity_* are those of other code, as each of them says.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

PRIME, FACTOR = 2**31 - 1, 1_103_515_245


def numbers(*shape: int, start: int = 1) -> Tensor:
    """Return doubles between -sqrt 3 and sqrt 3, of variance about 1: FACTOR k^3 modulo PRIME for k from `start`."""
    k = torch.arange(start, start + math.prod(shape))
    residues = (k * k % PRIME) * k % PRIME * FACTOR % PRIME
    return (residues.double() / PRIME - 0.5).mul(math.sqrt(12)).reshape(shape)


def latents(*shape: int) -> Tensor:
    """Return latents `(N, dim)`, the last row so small that an epsilon beside its square is seen."""
    z = numbers(*shape, start=10_000)
    z[-1] *= 1e-3
    return z


def images(*shape: int) -> Tensor:
    """Return images `(N, C, H, W)`."""
    return numbers(*shape, start=20_000)


def fill(network: nn.Module) -> nn.Module:
    """Give all parameters, running statistics and other random buffers their numbers; return it, double, to evaluate.

    The numbers run on through all modules, in each parameters first. Weights get variance 1 / (numbers of one output),
    those of an equalised learning rate 1 / multiplier^2; other numbers are 0.3 of theirs, about 1 for what scales.
    """
    network, start = network.double().eval(), 1
    with torch.no_grad():
        for module in network.modules():
            own = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            for name, tensor in own:
                if name in ("kernel", "stage", "alpha", "num_batches_tracked"):
                    continue
                tensor.copy_(_filled(module, name, numbers(*tensor.shape, start=start)))
                start += tensor.numel()
    return network


def _filled(module: nn.Module, name: str, values: Tensor) -> Tensor:
    multiplier = getattr(module, "lr_multiplier", 1.0)
    if name == "u":
        return values / values.norm()
    if values.ndim > 1 and name != "bias":
        return values / (multiplier if hasattr(module, "scale") else math.sqrt(values[0].numel()))
    return 0.3 * values / multiplier + (values.ndim == 0 or name in ("weight", "running_var"))


def told(network: nn.Module, *inputs: Tensor | None) -> list[float]:
    """Return numbers of `network(*inputs)` that a fault anywhere in it changes.

    They are the mean and the deviation of the output, four of its values from the first to the last, and of the sum of
    output times `numbers` the norms of the gradients by the first input and by all parameters.
    """
    first = inputs[0].requires_grad_()
    with mock.patch.object(Tensor, "float", Tensor.double):  # where a network asks for full precision
        answer = network(first, *inputs[1:])
        values = getattr(answer, "logits", answer)
        score = (values * numbers(*values.shape)).sum()
        gradients = torch.autograd.grad(score, [first, *network.parameters()], allow_unused=True)
    norms = [g.norm() for g in gradients if g is not None]
    picked = values.flatten()[torch.linspace(0, values.numel() - 1, 4).long()]
    rest = torch.stack(norms[1:]).norm()
    return [x.item() for x in (values.mean(), values.std(unbiased=False), *picked, norms[0], rest)]


def near(output: Sequence[float], gradients: Sequence[float], tolerance: float = 1e-9) -> object:
    """Return what `told` equals to `tolerance` of each number's size: the output's six numbers, the gradients' two."""
    return pytest.approx([*output, *gradients], rel=tolerance, abs=tolerance * 1e-2)
