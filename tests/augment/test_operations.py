"""Each operation: identities, what it conserves, gradients, and draws of each sample's own."""

import math
from types import SimpleNamespace

import pytest
import torch

from gan_lightning.augment import ADA, DiffAugment, FlipAndShift, InstanceNoise
from gan_lightning.augment.ada import GROUPS, of_shape, rotation
from gan_lightning.augment.moves import affine, flip, quarter_turns, shift
from gan_lightning.augment.spectrum import POWER, amplify, balanced_gains, bands, recolor
from gan_lightning.errors import UserError
from gan_lightning.modules.duel import Duel
from tests.augment.streams import Fixed, Numbers

ALL = list(GROUPS)


def images(count=6, channels=3, size=16):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(1)) * 2 - 1


def rotated(angle, height, width):
    """Return where ADA's rotation moves a pixel that lies 3 to the right of the middle: (below, to the right)."""
    x = torch.zeros(1, 1, height, width)
    x[0, 0, height // 2, width // 2 + 3] = 1
    turn = of_shape(rotation(torch.tensor([angle])), height, width)
    moved = affine(x, torch.cat([turn, torch.zeros(1, 2, 1)], 2))[0, 0]
    near = moved[height // 2 - 6 : height // 2 + 6, width // 2 - 6 : width // 2 + 6]  # beyond are reflections
    return [place - 6 for place in divmod(int(near.argmax()), 12)]


@pytest.mark.parametrize("angle", [math.pi / 2, -math.pi / 2])
@pytest.mark.parametrize("size", [(16, 16), (16, 32), (32, 16)])
def test_a_rotation_keeps_the_shape_of_things_in_pictures_of_any_shape(size, angle):
    below, right = rotated(angle, *size)
    assert abs(abs(below) - 3) <= 1 and abs(right) <= 1


@pytest.mark.parametrize("name", ["color", "translation", "cutout", "ada geometry", "ada cutout", "flip_and_shift"])
def test_pictures_that_are_not_square_are_augmented_alike_in_both_directions(name):
    x = torch.ones(2000, 1, 8, 16).requires_grad_()
    y = AUGMENTS[name](x, Numbers(2000))
    assert y.shape == x.shape and y.isfinite().all()
    if "cutout" in name:
        cut = (y == 0).flatten(1).float().mean(1)
        assert cut.max() == 0.25 and 0.1 < cut.mean() < 0.25  # half of each side


def noisy():
    augment = InstanceNoise(0.3, kimg=1)
    augment.begin(0, math.inf)
    return augment


AUGMENTS = {
    "color": DiffAugment(["color"]),
    "translation": DiffAugment(["translation"]),
    "cutout": DiffAugment(["cutout"]),
    **{f"ada {group}": ADA([group], p=1.0) for group in GROUPS},
    "ada": ADA(ALL, p=0.8),
    "flip_and_shift": FlipAndShift(),
    "instance_noise": noisy(),
}


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", AUGMENTS)
def test_every_sample_has_its_own_draw_and_its_gradient(name, channels):
    """The same image six times comes out six ways, and each output depends on its own input alone."""
    x = images(1, channels).expand(6, -1, -1, -1).clone().requires_grad_()
    y = AUGMENTS[name](x, Numbers(6, seed=3))
    assert y.shape == x.shape and y.dtype == x.dtype
    distinct = {tuple(sample.flatten().tolist()) for sample in y.detach()}
    assert len(distinct) >= 4
    (gradient,) = torch.autograd.grad(y[2].square().sum(), x)
    assert gradient[2].abs().sum() > 0 and gradient[[0, 1, 3, 4, 5]].abs().sum() == 0


@pytest.mark.parametrize("name", AUGMENTS)
def test_gradients_are_those_of_finite_differences_twice(name):
    x = images(2, 3, 8).double().requires_grad_()
    augment, draw = AUGMENTS[name], Numbers(2, seed=3)

    def score(x):
        return augment(x, draw).pow(3).mean((1, 2, 3))

    direction = torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def slope(at):
        (gradient,) = torch.autograd.grad(score(at).sum(), at, create_graph=True)
        return (gradient * direction).sum()

    with torch.no_grad():
        h = 1e-4
        difference = (score(x + h * direction) - score(x - h * direction)).sum() / (2 * h)
    torch.testing.assert_close(slope(x), difference, rtol=1e-4, atol=1e-7)
    (second,) = torch.autograd.grad(slope(x), x)
    there, back = (x.detach() + s * h * direction for s in (1, -1))
    expected = (slope(there.requires_grad_()) - slope(back.requires_grad_())) / (2 * h)
    torch.testing.assert_close((second * direction).sum(), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", AUGMENTS)
def test_two_halves_are_the_whole(name):
    x = images(6)
    whole = AUGMENTS[name](x, Numbers(6))
    halves = [AUGMENTS[name](x[rows], Numbers(6, rows=rows)) for rows in (slice(0, 3), slice(3, 6))]
    torch.testing.assert_close(torch.cat(halves), whole)


@pytest.mark.parametrize("channels", [1, 3])
def test_at_p_0_ada_is_the_identity_bit_for_bit(channels):
    x = images(8, channels)
    assert torch.equal(ADA(ALL, p=0.0)(x, Numbers(8)), x)
    assert not torch.equal(ADA(ALL, p=0.1)(x, Numbers(8)), x)


@pytest.mark.parametrize("group", GROUPS)
def test_ada_changes_a_share_of_about_p(group):
    x = images(1, 3, 8).expand(3000, -1, -1, -1)
    changed = (ADA([group], p=0.1)(x, Numbers(3000)) != x).flatten(1).any(1).float().mean().item()
    operations = {"blit": 3, "geometry": 4, "color": 5, "filter": 4, "noise": 1, "cutout": 1}[group]
    most = 1 - 0.9**operations
    # A blit, and the colours' inversion, is at times a draw of the identity; a square may be cut beyond the corner.
    assert most * 0.6 < changed < most + 0.03
    if group in ("geometry", "filter", "noise"):
        assert changed == pytest.approx(most, abs=0.025)


def test_an_empty_policy_is_the_identity():
    x = images()
    assert DiffAugment([])(x, Numbers(6)) is x


def test_colour_in_the_middle_of_its_ranges_is_the_identity():
    x = images()
    torch.testing.assert_close(DiffAugment(["color"])(x, Fixed(6, u=0.5)), x)


def test_colour_at_its_ends():
    """u = 0: half darker, no saturation left, half the contrast."""
    x = images()
    grey = x.mean(1, keepdim=True) - 0.5
    mean = grey.mean((1, 2, 3), keepdim=True)
    expected = (mean + (grey - mean) / 2).expand_as(x)
    torch.testing.assert_close(DiffAugment(["color"])(x, Fixed(6, u=0.0)), expected)


@pytest.mark.parametrize("size", [8, 16, 20])
def test_translation_conserves_the_pixels_inside_and_brings_zeros(size):
    x, limit = images(64, 2, size) + 5, int(size / 8 + 0.5)
    y = DiffAugment(["translation"])(x, Numbers(64))
    seen = set()
    for before, after in zip(x, y, strict=True):
        found = [
            (down, right)
            for down in range(-limit, limit + 1)
            for right in range(-limit, limit + 1)
            if torch.equal(shifted(before, down, right), after)
        ]
        assert len(found) == 1
        seen.update(found)
    assert {max(seen)[0], max(right for _, right in seen)} == {limit}
    assert {min(seen)[0], min(right for _, right in seen)} == {-limit}


def shifted(image, down, right):
    result, size = torch.zeros_like(image), image.shape[-1]
    rows, columns = (slice(max(0, by), min(size, size + by)) for by in (down, right))
    from_rows, from_columns = (slice(max(0, -by), min(size, size - by)) for by in (down, right))
    result[:, rows, columns] = image[:, from_rows, from_columns]
    return result


@pytest.mark.parametrize("augment", [DiffAugment(["cutout"]), ADA(["cutout"], p=1.0)])
def test_cutout_takes_half_the_size_both_ways_where_it_fits(augment):
    x = torch.ones(2000, 1, 16, 16)
    removed = (augment(x, Numbers(2000)) == 0).sum((1, 2, 3))
    assert removed.max() == 64
    assert removed.float().mean().item() == pytest.approx(64 * (7 / 8) ** 2, rel=0.05)  # a quarter may stick out


@pytest.mark.parametrize("size", [6, 7, 8, 9, 16])
def test_diffaugments_cutout_reaches_as_far_beyond_both_edges(size):
    y = DiffAugment(["cutout"])(torch.ones(4000, 1, size, size), Numbers(4000))
    columns = {tuple((sample == 0).any(0).tolist()) for sample in y[:, 0]}
    assert columns == {places[::-1] for places in columns}
    half = int(size / 2 + 0.5)
    assert {sum(places) for places in columns} == set(range((half + 1) // 2, half + 1))


def test_turns_and_flips_are_those_of_torch():
    x = images(5)
    turned = quarter_turns(x, torch.arange(5))
    for index in range(5):
        assert torch.equal(turned[index], x[index].rot90(index, (1, 2)))
    chosen = torch.tensor([True, False, True, False, False])
    assert torch.equal(flip(x, chosen)[0], x[0].flip(2)) and torch.equal(flip(x, chosen)[1], x[1])


def test_a_reflected_shift():
    x = torch.arange(4.0).reshape(1, 1, 1, 4).expand(3, 1, 2, 4)
    moved = shift(x, torch.tensor([1, -2, 0]), torch.zeros(3), reflect=True)
    assert moved[:, 0, 0].tolist() == [[1, 0, 1, 2], [2, 3, 2, 1], [0, 1, 2, 3]]


def test_affine_maps_of_a_plane_and_of_right_angles():
    """A smooth image moves as it should; a quarter turn is exact up to the filter's blur."""
    line = (torch.arange(32) + 0.5) / 16 - 1
    x = line.expand(1, 1, 32, 32)
    by = torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]])
    torch.testing.assert_close(affine(x, by)[..., 4:-8], (x + 0.25)[..., 4:-8], atol=1e-4, rtol=0)
    turn = torch.tensor([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    inside = (..., slice(2, -2), slice(2, -2))
    torch.testing.assert_close(affine(x, turn)[inside], x.rot90(1, (2, 3))[inside], atol=1e-4, rtol=0)


def test_bands_add_up_and_unit_gains_are_the_identity():
    x = images(4, 3, 8)
    torch.testing.assert_close(torch.stack(bands(x)).sum(0), x)
    torch.testing.assert_close(amplify(x, torch.ones(4, 4)), x)
    constant = torch.full((1, 1, 8, 8), 0.7)
    assert [round(band.abs().max().item(), 6) for band in bands(constant)] == [0.7, 0, 0, 0]


def test_each_filter_keeps_the_expected_power():
    single = torch.ones(4, 4)
    single[:, 1] = torch.tensor([0.5, 1.0, 2.0, 4.0])
    gains = balanced_gains(single)
    torch.testing.assert_close((gains.square() * torch.tensor(POWER)).sum(1), torch.ones(4))


def test_recolouring():
    x, one, zero, no = images(2), torch.ones(2), torch.zeros(2), torch.zeros(2, dtype=torch.bool)
    torch.testing.assert_close(recolor(x, zero, one, no, zero, one), x)
    torch.testing.assert_close(recolor(x, one / 2, 2 * one, no, zero, one), 2 * (x + 0.5))
    third = torch.full((2,), 2 * math.pi / 3)  # red to green to blue
    torch.testing.assert_close(recolor(x, zero, one, no, third, one), x.roll(1, 1))
    grey = x.mean(1, keepdim=True)
    torch.testing.assert_close(recolor(x, zero, one, no, zero, zero), grey.expand_as(x))
    torch.testing.assert_close(recolor(x, zero, one, ~no, zero, one), x - 2 * grey)
    torch.testing.assert_close(recolor(grey, zero, one, ~no, third, 5 * one), -grey)


def test_instance_noise_has_its_deviation_and_fades_to_none():
    augment, x = InstanceNoise(0.5), torch.zeros(64, 3, 16, 16)
    for seen, sigma in ((0, 0.5), (500, 0.25), (1000, 0.0), (2000, 0.0)):
        augment.begin(seen, 1000)
        assert augment(x, Numbers(64)).std().item() == pytest.approx(sigma, rel=0.02)
    assert not augment.state_dict()  # images_seen tells sigma
    with pytest.raises(UserError, match=r"max_kimg or max_epochs, or augment\.kimg"):
        augment.begin(0, math.inf)


def duel(*image_shape):
    generator = SimpleNamespace(image_shape=image_shape)
    return Duel(generator, None)


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: DiffAugment(["colour"]), "color, translation, cutout"),
        (lambda: DiffAugment("color"), "is a list"),
        (lambda: ADA(["geometric"]), "blit, geometry, color"),
        (lambda: ADA(p=2), "p lies in"),
        (lambda: ADA(interval=0), "interval"),
        (lambda: InstanceNoise(-1), "std=-1"),
        (lambda: ADA().check(duel(2)), "augment=instance_noise"),
        (lambda: ADA().check(duel(3, 8, 16)), "not square"),
        (lambda: ADA().check(duel(3, 8, 16)), r"set augment.groups=\[geometry,color\]"),
    ],
)
def test_bad_settings_are_sentences(build, sentence):
    with pytest.raises(UserError, match=sentence):
        build()
