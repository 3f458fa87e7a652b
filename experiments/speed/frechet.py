"""How long the final maths of a FID takes against torchmetrics' compute, on the same features, in one run.

python experiments/speed/frechet.py
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance

from gan_lightning.metrics.base import Identity, Setting, real_state, set_state
from gan_lightning.metrics.fid import FID

WIDTH, REALS, ROUNDS = 2048, 10_000, 3


def features(count: int, seed: int) -> Tensor:
    """Return `(count, WIDTH)` correlated, non-negative features, as Inception's are."""
    mixing = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(0)) / WIDTH**0.5
    rows = torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed)) * torch.logspace(0, -2, WIDTH)
    return (rows @ mixing + 0.01 * seed).relu()


def timed(compute: Callable[[], Tensor]) -> tuple[float, float]:
    """Return the seconds that `compute` takes, and its value."""
    start = time.perf_counter()
    value = float(compute())
    return time.perf_counter() - start, value


def contenders(known: dict[str, Tensor], real: Tensor, fake: Tensor) -> tuple[Callable[[], Tensor], ...]:
    """Return torchmetrics' compute and ours, each with all features taken in; `known`: our cached real statistics."""
    stock, ours = FrechetInceptionDistance(feature=Identity(WIDTH)), FID(Setting(feature_dim=WIDTH))
    stock.update(real, real=True)
    stock.update(fake, real=False)
    set_state(ours, known)
    ours.update(fake, real=False)
    return stock.compute, ours.compute


def main() -> None:
    """Print a line for each number of samples."""
    real, measured = features(REALS, 1), FID(Setting(feature_dim=WIDTH))
    measured.update(real, real=True)
    start = time.perf_counter()
    measured.finish_real()
    print(f"{WIDTH:,} features, {torch.get_num_threads()} threads; medians of {ROUNDS} rounds")
    print(f"factoring the real covariance, once and cached: {time.perf_counter() - start:.2f} s")
    for count in (10_000, 1_000):
        fake = features(count, 2)
        rounds = [[timed(c) for c in contenders(real_state(measured), real, fake)] for _ in range(ROUNDS)]
        stock, ours = (median(one[place][0] for one in rounds) for place in (0, 1))
        ratio = median(one[0][0] / one[1][0] for one in rounds)
        (_, expected), (_, value) = rounds[0]
        print(
            f"{count:6,} samples: torchmetrics {stock:.2f} s, ours {ours:.2f} s, {ratio:.1f} times faster; "
            f"values {expected:.8g} and {value:.8g}, apart by {abs(value / expected - 1):.1e}"
        )


if __name__ == "__main__":
    main()
