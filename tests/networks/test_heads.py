"""The heads' terms against values worked out by hand."""

import math

import pytest
import torch
from torch.nn.functional import normalize

from gan_lightning.networks import (
    DiscriminatorOutput,
)
from gan_lightning.networks.heads import (
    AuxiliaryClassifierHead,
    ContraHead,
    DiscriminativeClassifierHead,
    InfoHead,
    MultiHead,
    MultiHingeHead,
    ReACHead,
    TwinAuxiliaryClassifierHead,
)
from gan_lightning.networks.heads.contrastive import conditional_contrastive, data_to_data_cross_entropy
from gan_lightning.networks.heads.infogan import gaussian_nll
from gan_lightning.networks.heads.logits import multi_hinge


def told(**extras):
    """Return an output with these extras, as if a trunk had said so."""
    return DiscriminatorOutput(torch.zeros(1), None, {name: torch.as_tensor(value) for name, value in extras.items()})


def labels(*classes):
    return torch.tensor(classes)


# Logits by class -----------------------------------------------------------------------------------------------------


def test_multi_head_takes_the_labels_logit():
    head, features = MultiHead(4, num_classes=3), torch.randn(5, 4)
    every, wanted = head.linear(features), labels(2, 0, 1, 1, 2)
    assert head.linear.weight.shape == (3, 4)
    assert torch.equal(head(features, wanted).logits, every[torch.arange(5), wanted])


def test_multi_hinge_is_the_gap_to_the_nearest_rival():
    scores = torch.tensor([[2.0, 0.5, -1.0], [0.0, 0.25, 3.0]])
    # Sample 0 of class 0: 1 - 2 + 0.5 < 0. Sample 1 of class 1: 1 - 0.25 + 3 = 3.75.
    assert multi_hinge(scores, labels(0, 1)).item() == pytest.approx(3.75 / 2)
    assert multi_hinge(scores, labels(1, 0)).item() == pytest.approx((2.5 + 4.0) / 2)
    assert multi_hinge(torch.zeros(4, 11), torch.arange(4)).item() == 1  # no class better than another


def test_multi_hinge_of_one_class_is_the_binary_hinge():
    """With scores (s, 0) of one class and "fake", real pays relu(1 - s) and fake relu(1 + s)."""
    head, s = MultiHingeHead(1, num_classes=2), torch.tensor([2.0, 0.3, -1.5])
    scores = torch.stack([s, torch.full((3,), -1e9), torch.zeros(3)], dim=1)
    output, zero = told(scores=scores), torch.zeros(3, dtype=torch.long)
    real = head.loss(output, zero, "discriminator", True)["multi_hinge"]
    fake = head.loss(output, zero, "discriminator", False)["multi_hinge"]
    torch.testing.assert_close(real, torch.relu(1 - s).mean())
    torch.testing.assert_close(fake, torch.relu(1 + s).mean())
    assert head.loss(output, zero, "generator", False)["multi_hinge"] == real  # G wants what D grants to real images


def test_multi_hinge_logits_are_the_margin_over_fake():
    head, features, wanted = MultiHingeHead(4, num_classes=3), torch.randn(2, 4), labels(2, 1)
    output = head(features, wanted)
    assert output.extras["scores"].shape == (2, 4)
    torch.testing.assert_close(output.logits[0], output.extras["scores"][0, 2] - output.extras["scores"][0, 3])


# Classifiers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 10])
@pytest.mark.parametrize(("player", "real"), [("discriminator", True), ("discriminator", False), ("generator", False)])
def test_an_undecided_classifier_pays_ln_k(classes, player, real):
    head = AuxiliaryClassifierHead(4, classes, discriminator_weight=1.0, generator_weight=0.1)
    term = head.loss(told(classes=torch.full((3, classes), 0.7)), labels(0, 1, 1), player, real)["classification"]
    assert term.item() == pytest.approx(math.log(classes) * (0.1 if player == "generator" else 1), abs=1e-6)


def test_the_classifier_can_leave_fakes_alone():
    head, output = AuxiliaryClassifierHead(4, 2, classify_fakes=False), told(classes=torch.zeros(1, 2))
    assert head.loss(output, labels(0), "discriminator", False) == {}
    assert head.loss(output, labels(0), "generator", False)["classification"].item() == pytest.approx(math.log(2))


def test_tac_at_its_optimum_costs_the_generator_the_divergence_of_the_posteriors():
    """Classifier at P(y|x), twin at Q(y|x), labels as Q has them: KL(Q || P), 0 where they agree."""
    p, q, drawn = [0.4, 0.6], [0.75, 0.25], labels(0, 0, 0, 1)
    head = TwinAuxiliaryClassifierHead(4, 2)
    rows = [torch.tensor(row).log().expand(4, 2) for row in (p, q)]
    terms = head.loss(told(classes=rows[0], twin=rows[1]), drawn, "generator", False)
    kl = 0.75 * math.log(0.75 / 0.4) + 0.25 * math.log(0.25 / 0.6)
    assert (terms["classification"] + terms["twin"]).item() == pytest.approx(kl, abs=1e-6)
    same = head.loss(told(classes=rows[1], twin=rows[1]), drawn, "generator", False)
    assert sum(same.values()).item() == pytest.approx(0, abs=1e-6)


def test_tacs_twin_learns_from_fakes_only():
    head, output = TwinAuxiliaryClassifierHead(4, 2), told(classes=torch.zeros(1, 2), twin=torch.zeros(1, 2))
    assert head.loss(output, labels(0), "discriminator", True).keys() == {"classification"}
    assert head.loss(output, labels(0), "discriminator", False).keys() == {"twin"}


def test_adc_at_its_optimum_costs_the_generator_the_joint_divergence():
    """Classes' logits at log p(x, y) and log q(x, y): E_q[log q - log p], whatever the normalisation."""
    p, q, drawn = [0.1, 0.3], [0.3, 0.1], labels(0, 0, 0, 1)
    head = DiscriminativeClassifierHead(4, 2)
    best = torch.tensor([*p, *q]).log().expand(4, 4)
    term = head.loss(told(classes=best + 5), drawn, "generator", False)["classification"]
    assert term.item() == pytest.approx(0.75 * math.log(3) + 0.25 * math.log(1 / 3), abs=1e-5)
    even = head.loss(told(classes=torch.tensor([*q, *q]).log().expand(4, 4)), drawn, "generator", False)
    assert even["classification"].item() == pytest.approx(0, abs=1e-6)


def test_adc_tells_real_from_fake_classes():
    head, classes = DiscriminativeClassifierHead(4, 2), torch.tensor([[9.0, 0.0, 0.0, 0.0]])
    real = head.loss(told(classes=classes), labels(0), "discriminator", True)["classification"]
    fake = head.loss(told(classes=classes), labels(0), "discriminator", False)["classification"]
    assert real.item() == pytest.approx(math.log(1 + 3 * math.exp(-9)), rel=1e-3)
    assert fake.item() == pytest.approx(9 + math.log(1 + 3 * math.exp(-9)), rel=1e-6)
    undecided = head.loss(told(classes=torch.zeros(1, 4)), labels(1), "discriminator", True)["classification"]
    assert undecided.item() == pytest.approx(math.log(4))


# Contrastive ---------------------------------------------------------------------------------------------------------


def test_2c_of_one_class_is_zero():
    rows = normalize(torch.randn(6, 8))
    same = torch.zeros(6, dtype=torch.long)
    assert conditional_contrastive(rows, rows.roll(1, 0), same).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("count", "temperature"), [(4, 1.0), (4, 0.5), (7, 1.0)])
def test_2c_of_orthogonal_classes_with_aligned_proxies(count, temperature):
    """-log e^(1/t) / (e^(1/t) + m - 1): 0.743668 at m = 4, t = 1."""
    rows = torch.eye(count)
    found = conditional_contrastive(rows, rows, torch.arange(count), temperature).item()
    assert found == pytest.approx(math.log1p((count - 1) * math.exp(-1 / temperature)), abs=1e-6)
    if (count, temperature) == (4, 1.0):
        assert found == pytest.approx(0.743668, abs=1e-6)


def test_2c_counts_relatives_beside_the_proxy_but_never_the_image_itself():
    rows = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    proxies = torch.tensor([[0.6, 0.8], [0.6, 0.8], [0.0, 1.0]])
    e = math.exp
    of = [  # labels 0, 0, 1
        -math.log((e(0.6) + e(0)) / (e(0.6) + e(0) + e(-1))),
        -math.log((e(0.8) + e(0)) / (e(0.8) + e(0) + e(0))),
        -math.log(e(0) / (e(0) + e(-1) + e(0))),
    ]
    found = conditional_contrastive(rows, proxies, labels(0, 0, 1))
    assert found.item() == pytest.approx(sum(of) / 3, abs=1e-6)


def test_d2d_ce_on_a_batch_worked_out_by_hand():
    """Margins clip both sides: a cosine 0.99 is good enough, one of -0.8 to a stranger costs nothing."""
    rows = torch.tensor([[1.0, 0.0], [0.6, 0.8], [-0.8, 0.6]])
    proxies = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-0.8, 0.6]])
    tau, m_p, m_n = 0.5, 0.98, 0.02
    e = math.exp
    # Labels 0, 0, 1. Cosines to own proxies 1, 0.8, 1; rows 0-2: -0.8, rows 1-2: 0; rows 0 and 1 are relatives.
    of = [
        -math.log(1 / (1 + 1)),  # the stranger's max(-0.82, 0) / tau = 0
        -math.log(e((0.8 - m_p) / tau) / (e((0.8 - m_p) / tau) + 1)),
        -math.log(1 / (1 + 1 + 1)),
    ]
    found = data_to_data_cross_entropy(rows, proxies, labels(0, 0, 1), tau, m_p)
    assert found.item() == pytest.approx(sum(of) / 3, abs=1e-6)
    # A stranger nearby is charged from 1 - m_p on.
    near = data_to_data_cross_entropy(rows[:2], proxies[:2], labels(0, 1), tau, m_p).item()
    charge = e((0.6 - m_n) / tau)
    assert near == pytest.approx((math.log1p(charge) + math.log1p(charge / e(-0.18 / tau))) / 2, abs=1e-6)


def test_d2d_ce_is_the_papers_and_not_the_one_with_shifted_negatives():
    """Taking the row's maximum off the negatives alone, as other code does, changes the value."""
    torch.manual_seed(0)
    rows, proxies, classes = normalize(torch.randn(8, 16)), normalize(torch.randn(8, 16)), torch.arange(8) % 4
    positive = ((rows * proxies).sum(1) - 0.98).clamp(max=0) / 0.5
    negative = (rows @ rows.T - 0.02).clamp(min=0) / 0.5
    strangers = (classes[:, None] != classes).float()
    as_written = (negative.exp() * strangers).sum(1)
    shifted = ((negative - negative.amax(1, keepdim=True)).exp() * strangers).sum(1)
    paper, other = (-(positive.exp() / (positive.exp() + total)).log().mean() for total in (as_written, shifted))
    found = data_to_data_cross_entropy(rows, proxies, classes)
    torch.testing.assert_close(found, paper)
    assert abs(found - other) > 0.3


def test_d2d_ce_of_one_class_is_zero():
    rows = normalize(torch.randn(4, 3))
    assert data_to_data_cross_entropy(rows, rows.flip(0), torch.zeros(4)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("head", "weight"), [(ContraHead, 1.0), (ReACHead, 0.5)])
def test_contrastive_heads_judge_each_players_own_side(head, weight):
    head, wanted = head(4, num_classes=3, embedding_dim=6), labels(0, 1, 2, 1)
    output = head(torch.randn(4, 4), wanted)
    assert torch.allclose(output.extras["embeddings"].norm(dim=1), torch.ones(4))
    assert head.loss(output, wanted, "discriminator", False) == {}
    plain = head.contrast(output.extras["embeddings"], output.extras["proxies"], wanted)
    for player, real in (("discriminator", True), ("generator", False)):
        torch.testing.assert_close(head.loss(output, wanted, player, real)["contrastive"], weight * plain)


@pytest.mark.parametrize("head", [ContraHead, ReACHead])
def test_contrastive_terms_are_taken_in_full_precision(head):
    head, wanted = head(4, num_classes=3, embedding_dim=64), labels(0, 1, 2, 1)
    output = head(torch.randn(4, 4), wanted)
    plain = head.loss(output, wanted, "generator", False)["contrastive"]
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(head.loss(output, wanted, "generator", False)["contrastive"], plain)


# InfoGAN -------------------------------------------------------------------------------------------------------------


def info(**options):
    """Return a head and 256 latents with codes, 4 of noise."""
    torch.manual_seed(0)
    head = InfoHead(8, **options)
    stream = torch.Generator().manual_seed(0)
    return head, head.codes.write(torch.zeros(256, 4 + head.codes.size), head.codes.draw(256, stream))


def judged(head, latents, features=None):
    features = torch.zeros(len(latents), 8) if features is None else features
    return head.terms(DiscriminatorOutput(latents[:, 0], features, {"latents": latents}), None, "generator", False)


def test_a_uniform_q_knows_nothing():
    """-log Q = ln 10 for the category, so L_I = 0; for U(-1, 1) codes the Gaussian at 0 pays 0.918939 + c^2 / 2."""
    head, latents = info(categories=[10], continuous=2)
    torch.nn.init.zeros_(head.q[-1].weight), torch.nn.init.zeros_(head.q[-1].bias)
    terms = judged(head, latents)
    assert terms["categories"].item() == pytest.approx(2.302585, abs=1e-6)
    squares = latents[:, -2:].square().sum(1).mean().item()
    assert terms["continuous"].item() == pytest.approx(2 * 0.918939 + squares / 2, abs=1e-5)


@pytest.mark.parametrize("fixed_std", [True, False])
def test_a_perfect_q_knows_all(fixed_std):
    """The category's -log Q is 0, so L_I = ln 10; the continuous floor is 0.918939 at unit deviation."""
    head, latents = info(categories=[10], continuous=2, fixed_std=fixed_std)
    answer = torch.cat([100 * latents[:, 4:14], latents[:, -2:], torch.full((256, 0 if fixed_std else 2), -2.0)], 1)
    head.q = torch.nn.Identity()
    terms = judged(head, latents, answer)
    assert terms["categories"].item() == pytest.approx(0, abs=1e-6)
    assert terms["continuous"].item() == pytest.approx(2 * (0.918939 - (0 if fixed_std else 2)), abs=1e-5)


def test_gaussian_nll_agrees_with_torch():
    mean, log_std, values = torch.randn(3, 5, 4)
    expected = -torch.distributions.Normal(mean, log_std.exp()).log_prob(values).sum(1).mean()
    torch.testing.assert_close(gaussian_nll(mean, log_std, values), expected)


@pytest.mark.parametrize(("fixed_std", "parameters"), [(True, 133_004), (False, 133_262)])
def test_q_has_the_parameters_of_the_authors_mnist_network(fixed_std, parameters):
    with torch.device("meta"):
        head = InfoHead(1024, categories=[10], continuous=2, fixed_std=fixed_std)
    assert sum(p.numel() for p in head.generator_parameters()) == parameters


def test_several_categories_are_told_apart():
    head, latents = info(categories=[3, 5], continuous=0)
    head.q = torch.nn.Identity()
    terms = judged(head, latents, 100 * latents[:, 4:])
    assert terms.keys() == {"categories"} and terms["categories"].item() == pytest.approx(0, abs=1e-6)
    assert judged(head, latents, torch.zeros(256, 8))["categories"].item() == pytest.approx(math.log(3) + math.log(5))
    assert head.loss(DiscriminatorOutput(torch.zeros(1)), None, "discriminator", True) == {}
