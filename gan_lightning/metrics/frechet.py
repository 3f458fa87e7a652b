"""The Frechet distance between two Gaussians, computed from eigenvalues of small symmetric matrices."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

EPSILON = torch.finfo(torch.float64).eps


class Moments(NamedTuple):
    """Number, mean `(F,)` and scatter matrix `(F, F)` (sum of centred outer products) of rows `(N, F)`."""

    number: Tensor
    mean: Tensor
    scatter: Tensor

    def add(self, rows: Tensor) -> Moments:
        """Return the moments with further `rows`, float64, merged without cancellation (Chan et al. 1979)."""
        mean = rows.mean(dim=0)
        centred, shift = rows - mean, mean - self.mean
        number = self.number + len(rows)
        scatter = torch.addmm(self.scatter, centred.T, centred)
        scatter.addr_(shift, shift * (self.number * len(rows) / number))
        return Moments(number, self.mean + shift * (len(rows) / number), scatter)


def factor(covariance: Tensor) -> Tensor:
    """Return A `(F, rank)` with A A^T = covariance `(F, F)`; used instead of the square root, and never larger."""
    values, vectors = torch.linalg.eigh(covariance)
    kept = values > len(values) * EPSILON * values.max().clamp_min(0)
    return vectors[:, kept] * values[kept].sqrt()


def distance(mean: Tensor, real_factor: Tensor, fakes: Moments) -> Tensor:
    """Return |m_r - m_f|^2 + tr(S_r + S_f - 2 (S_r S_f)^(1/2)), given m_r, a factor of S_r, and samples' moments.

    The trace of the matrix root is the sum of the square roots of the eigenvalues of A^T S_f A, which is symmetric.
    """
    covariance = fakes.scatter / (fakes.number - 1)
    inner = real_factor.T @ covariance @ real_factor
    return _distance(mean, real_factor, fakes.mean, covariance.trace(), torch.linalg.eigvalsh(inner))


def distance_of_rows(mean: Tensor, real_factor: Tensor, rows: Tensor) -> Tensor:
    """Return `distance` for samples given as rows `(N, F)`; this is faster if N < F.

    The eigenvalues are then those of the Gram matrix `(N, N)` of X A, X being the centred rows.
    """
    centred = rows - rows.mean(dim=0)
    inner = centred @ real_factor / (len(rows) - 1) ** 0.5
    if len(rows) > inner.shape[1]:
        values = torch.linalg.eigvalsh(inner.T @ inner)
    else:
        values = torch.linalg.eigvalsh(inner @ inner.T)[1:]  # the rows sum to 0, so the smallest is 0
    trace = centred.square().sum() / (len(rows) - 1)
    return _distance(mean, real_factor, rows.mean(dim=0), trace, values)


def _distance(mean: Tensor, real_factor: Tensor, fake_mean: Tensor, fake_trace: Tensor, values: Tensor) -> Tensor:
    """Return the distance from the nonzero eigenvalues of S_r S_f; 0 if it is within rounding error."""
    roots = values.clamp_min(0).sqrt()
    total = (mean - fake_mean).square().sum() + real_factor.square().sum() + fake_trace - 2 * roots.sum()
    return total if total > _rounding(roots, mean) else torch.zeros_like(total)


def _rounding(roots: Tensor, mean: Tensor) -> Tensor:
    """Return the rounding error of the distance; the square root of a small eigenvalue magnifies it."""
    largest = roots.max() if len(roots) else roots.new_zeros(())
    errors = 8 * EPSILON * largest.square() / roots.clamp_min(EPSILON**0.5 * largest)
    return errors.nan_to_num(0).sum() + (16 * EPSILON) ** 2 * mean.square().sum()
