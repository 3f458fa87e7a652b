"""conf/data: each composes, builds its class, and says its number of classes without loading data."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hydra.utils import get_class, instantiate

from gan_lightning.data import GANData
from tests.cli.compositions import compose, options

OPTIONS = options("data")


@pytest.mark.parametrize("option", OPTIONS)
def test_every_key_is_an_argument_and_every_argument_a_key(option: str) -> None:
    config = compose(f"data={option}").data
    arguments = set(inspect.signature(get_class(config._target_)).parameters)
    keys = {str(key) for key in config} - {"_target_"}
    unused = {"subset"} if config._target_.endswith("TorchvisionData") else set()
    assert keys <= arguments and arguments - keys <= unused
    if option != "folder":
        data = instantiate(config)
        assert isinstance(data, GANData) and data.name == option and data.batch_size == config.batch_size


def test_classes_follow_other_options(tmp_path: Path) -> None:
    assert compose("data=emnist", "data.subset=letters").data.num_classes == 26
    assert compose("data=stl10").data.num_classes == 0
    assert compose("data=stl10", "data.subset=train").data.num_classes == 10
    assert compose("data=celeba").data.num_classes == 0
    assert compose("data=celeba", "data.attribute=Smiling").data.num_classes == 2
    for name in "abc":
        (tmp_path / name).mkdir()
    folder = ["data=folder", f"data.root={tmp_path}"]
    assert compose(*folder).data.num_classes == 0
    assert compose(*folder, "data.labels=folders").data.num_classes == 3
    assert compose("data=folder").data.num_classes == 0


def test_data_selects_what_it_is_measured_with() -> None:
    for option in ("digits", "mnist", "fashion_mnist", "kmnist", "emnist"):
        assert compose(f"data={option}").extractor == compose("data=cifar10", "extractor=classifier").extractor
    for option in ("cifar10", "cifar100", "svhn", "stl10", "celeba", "lsun", "flowers102", "folder"):
        assert compose(f"data={option}").extractor == compose("data=digits", "extractor=inception").extractor
    for option in ("ring", "grid"):
        config = compose(f"data={option}")
        assert list(config.metrics) == ["modes"] and "MLP2d" in config.model.generator._target_
        assert compose(f"data={option}", "metrics=[]").metrics == {}
    for option in ("stacked_digits", "stacked_mnist"):
        assert list(compose(f"data={option}").metrics) == ["stacked_modes"]
