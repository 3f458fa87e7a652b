"""The losses against a table of values computed by hand, and what must hold for any input."""

import math

import pytest
import torch

from gan_lightning.errors import UserError
from gan_lightning.losses import (
    DualContrastive,
    Hinge,
    LeastSquares,
    Minimax,
    NonSaturating,
    Relativistic,
    RelativisticAverage,
    RelativisticAverageHinge,
    RelativisticAverageLeastSquares,
    Wasserstein,
)

REAL, FAKE = torch.tensor([2.0, 0.5]), torch.tensor([-1.0, 0.25])
TABLE = [
    (NonSaturating(), 0.870103, 0.944601, 1.386294, 0.693147),
    (Minimax(), 0.870103, -0.569601, 1.386294, -0.693147),
    (LeastSquares(), 0.578125, 1.140625, 0.5, 0.5),
    (Hinge(), 0.875, 0.375, 2.0, 0.0),
    (Wasserstein(), -1.625, 0.375, 0.0, 0.0),
    (Relativistic(), 0.312263, 1.937263, 0.693147, 0.693147),
    (RelativisticAverage(), 0.425426, 3.675426, 1.386294, 1.386294),
    (RelativisticAverageLeastSquares(), 1.734375, 14.734375, 2.0, 2.0),
    (RelativisticAverageHinge(), 0.0625, 5.25, 2.0, 2.0),
    # log(1 + sum exp(f - r)), each real among all fakes and each fake among all real; 2 ln 3 where nothing differs.
    (DualContrastive(), 0.903169, 5.263668, 2.197225, 2.197225),
]
ALL = [row[0] for row in TABLE]


@pytest.mark.parametrize(("loss", "d", "g", "d_zero", "g_zero"), TABLE, ids=lambda v: type(v).__name__)
def test_values_on_fixed_logits(loss, d, g, d_zero, g_zero):
    zero = torch.zeros(2)
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx(d, abs=2e-6)
    assert loss.generator(REAL, FAKE).item() == pytest.approx(g, abs=2e-6)
    assert loss.discriminator(zero, zero).item() == pytest.approx(d_zero, abs=2e-6)
    assert loss.generator(zero, zero).item() == pytest.approx(g_zero, abs=2e-6)


@pytest.mark.parametrize("loss", ALL, ids=lambda v: type(v).__name__)
def test_the_generator_wants_fakes_to_look_real(loss):
    """The gradient on each fake logit pushes it up, and the discriminator's pushes it down."""
    for player, sign in (("generator", -1), ("discriminator", 1)):
        fake = torch.tensor([0.2, 0.7], requires_grad=True)  # between all targets and margins
        getattr(loss, player)(REAL, fake).backward()
        assert (sign * fake.grad > 0).all()


@pytest.mark.parametrize(
    "loss",
    [
        Relativistic(),
        RelativisticAverage(),
        RelativisticAverageLeastSquares(),
        RelativisticAverageHinge(),
        DualContrastive(),
        Wasserstein(),
    ],
)
def test_a_constant_added_to_the_critic_changes_nothing_in_its_loss(loss):
    before = loss.discriminator(REAL, FAKE).item()
    assert loss.discriminator(REAL + 7, FAKE + 7).item() == pytest.approx(before, abs=1e-5)


@pytest.mark.parametrize("loss", ALL, ids=lambda v: type(v).__name__)
def test_needs_real_says_the_truth(loss):
    """Either the generator's loss works without real logits, or it changes with them."""
    if loss.needs_real:
        assert loss.generator(REAL, FAKE) != loss.generator(REAL + 1, FAKE)
    else:
        assert torch.equal(loss.generator(None, FAKE), loss.generator(REAL, FAKE))


def test_smoothed_targets_have_their_optimum_at_the_log_odds():
    """With target 0.9 the real term is least, 0.325083, at the logit ln 9."""
    loss, far = NonSaturating(real_label=0.9), torch.full((1,), -1e4)
    logit = torch.tensor([math.log(9.0)], requires_grad=True)
    value = loss.discriminator(logit, far)
    value.backward()
    assert value.item() == pytest.approx(0.325083, abs=1e-6)
    assert logit.grad.item() == pytest.approx(0, abs=1e-6)


def test_the_best_discriminator_of_two_gaussians():
    """Logit 2x between N(1, 1) and N(-1, 1) reaches 2 ln 2 - 2 JS = 0.712633."""
    points = torch.linspace(-12, 12, 200_001, dtype=torch.float64)
    density = torch.distributions.Normal(1.0, 1.0).log_prob(points).exp()
    draws = points[torch.multinomial(density, 400_000, replacement=True, generator=torch.Generator().manual_seed(0))]
    assert NonSaturating().discriminator(2 * draws, -2 * draws).item() == pytest.approx(0.712633, abs=4e-3)


def test_extreme_logits_keep_finite_values_and_gradients():
    for loss in ALL:
        fake = torch.tensor([-1e4, 1e4], requires_grad=True)
        loss.generator(fake.detach(), fake).backward()
        assert torch.isfinite(fake.grad).all()
    sure = torch.tensor([-80.0], requires_grad=True)
    NonSaturating().generator(None, sure).backward()
    assert sure.grad.item() == pytest.approx(-1)  # does not vanish where the discriminator is sure
    sure.grad = None
    Minimax().generator(None, sure).backward()
    assert abs(sure.grad.item()) < 1e-30  # does


def test_pearson_targets():
    loss = LeastSquares(fake_target=-1, real_target=1, generator_target=0)
    assert loss.discriminator(REAL, FAKE).item() == pytest.approx((1 + 0.25 + 0 + 1.5625) / 4)
    assert loss.generator(None, FAKE).item() == pytest.approx((1 + 0.0625) / 4)


@pytest.mark.parametrize("label", [0.5, 1.1, -1])
def test_a_label_out_of_range_is_a_sentence(label):
    with pytest.raises(UserError, match=r"loss\.real_label.*out of range"):
        NonSaturating(real_label=label)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_the_best_logits_are_the_log_density_ratio_where_a_loss_says_so(loss):
    """Four images, of which the real law draws 400, 300, 200, 100 in a thousand, and the fake law the reverse.

    The logits that minimise the loss over all pairs are found numerically; where they are the log-odds but
    for a constant, rejection and Langevin sampling take the loss.
    """
    counts = torch.tensor([4, 3, 2, 1])
    real, fake = torch.arange(4).repeat_interleave(counts * 10), torch.arange(4).repeat_interleave(counts.flip(0) * 10)
    if isinstance(loss, Relativistic):  # every pair once
        real, fake = real.repeat_interleave(100), fake.repeat(100)
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def minimise():
        search.zero_grad()
        value = loss.discriminator(logits[real], logits[fake]) + 1e-9 * logits.square().sum()
        value.backward()
        return value

    search.step(minimise)
    found, ratio = logits.detach(), (counts.double() / counts.flip(0)).log()
    offset = 0 if loss.logits_are_log_odds else found.mean()
    agrees = torch.allclose(found - offset, ratio, atol=0.03)  # the dual loss tends to it with the batch
    assert agrees == (loss.logits_are_log_odds or loss.log_odds_up_to_constant)
