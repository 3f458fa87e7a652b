"""Codes: part of the latents, remembered by every file, and set by whoever samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir

from gan_lightning.cli.generate import generate
from gan_lightning.errors import UserError
from gan_lightning.inference.export import export_safetensors
from gan_lightning.inference.load import load
from gan_lightning.inference.sampling import latents, sweep
from gan_lightning.networks.codes import LatentCodes
from gan_lightning.networks.dcgan import DCGANGenerator

Make = Callable[..., Any]
Save = Callable[..., Path]
CODES = LatentCodes((3, 4), 2)  # 9 latents


@pytest.fixture
def coded(weathered: Make) -> DCGANGenerator:
    network = weathered(DCGANGenerator(8, 1, latent_dim=13, width=4))
    network.codes = CODES
    return network


@pytest.fixture
def ckpt(coded: DCGANGenerator, saved: Save, checkpoint: Make) -> Path:
    return saved(checkpoint(coded, codes=CODES.plain()))


def test_codes_are_drawn_as_their_distributions_say() -> None:
    values = CODES.draw(20_000, torch.Generator().manual_seed(0))
    for index, categories in enumerate((3, 4)):
        shares = values[:, index].long().bincount() / len(values)
        assert torch.allclose(shares, torch.full((categories,), 1 / categories), atol=0.02)
    assert values[:, 2:].abs().max() <= 1 and values[:, 2:].mean(0).abs().max() < 0.02
    assert values[:, 2:].var(0).sub(1 / 3).abs().max() < 0.01


def test_writing_and_reading_are_inverse_and_leave_the_noise() -> None:
    z, values = torch.randn(6, 13), CODES.draw(6, torch.Generator().manual_seed(1))
    written = CODES.write(z, values)
    assert torch.equal(CODES.read(written), values) and torch.equal(written[:, :4], z[:, :4])
    assert torch.equal(written[:, 4:11].sum(1), torch.full((6,), 2.0))  # two one-hot codes
    kept = CODES.write(written, CODES.values([None, 2, None, 0.5], 6))
    expected = values.clone()
    expected[:, 1], expected[:, 3] = 2, 0.5
    assert torch.equal(CODES.read(kept), expected)


def test_latents_of_an_index_are_the_same_in_any_batch(coded: DCGANGenerator) -> None:
    whole = latents(coded, 0, 150, seed=3)
    assert torch.equal(whole[50:130], latents(coded, 50, 130, seed=3))
    plain = DCGANGenerator(8, 1, latent_dim=13, width=4)
    assert torch.equal(whole[:, :4], latents(plain, 0, 150, seed=3)[:, :4])  # the noise is what it would be without


def test_a_checkpoint_and_an_export_remember_the_codes(ckpt: Path, coded: DCGANGenerator, tmp_path: Path) -> None:
    loaded = load(ckpt)
    assert loaded.network.codes == CODES
    path = export_safetensors(loaded.network, tmp_path / "shared/generator.safetensors", loaded.description)
    assert load(path).network.codes == CODES
    assert torch.equal(load(path).sample(5, seed=2), loaded.sample(5, seed=2))


def test_fixed_codes_are_what_the_network_is_given(ckpt: Path) -> None:
    loaded, seen = load(ckpt), []
    loaded.network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    loaded.sample(10, codes=[2, None, -0.5], batch_size=4)
    loaded.sample(10, batch_size=10)
    fixed, drawn = CODES.read(torch.cat(seen[:3])), CODES.read(seen[3])
    assert (fixed[:, 0] == 2).all() and (fixed[:, 2] == -0.5).all()
    assert torch.equal(fixed[:, [1, 3]], drawn[:, [1, 3]])
    assert torch.equal(torch.cat(seen[:3])[:, :4], seen[3][:, :4])


def test_a_sweep_has_a_row_for_each_code(coded: DCGANGenerator) -> None:
    seen: list[torch.Tensor] = []
    coded.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    images = sweep(coded, columns=4, seed=0)
    rows = CODES.read(seen[0]).unflatten(0, (4, 4))
    assert images.shape == (16, 1, 8, 8)
    assert rows[0, :, 0].tolist() == [0, 1, 2, 0] and rows[1, :, 1].tolist() == [0, 1, 2, 3]
    assert rows[2, :, 2].tolist() == rows[3, :, 3].tolist() == pytest.approx([-1, -1 / 3, 1 / 3, 1])
    for row in range(4):  # all but the row's own code stand still, and so does the noise
        others = [code for code in range(4) if code != row]
        assert (rows[row][:, others] == rows[row][:1, others]).all()
        assert (seen[0].unflatten(0, (4, 4))[row][:, :4] == seen[0].unflatten(0, (4, 4))[row][:1, :4]).all()


def run(*overrides: str) -> Path:
    with initialize_config_dir(str(Path(__file__).parents[2] / "conf"), version_base="1.3"):
        return generate(compose("generate", list(overrides)))


@pytest.mark.parametrize(("code", "codes"), [("2", 2), ("[0,3]", [0, 3]), ("[null,null,0.25]", [None, None, 0.25])])
def test_the_command_sets_codes(ckpt: Path, tmp_path: Path, code: str, codes: Any) -> None:
    from PIL import Image

    out = run(f"ckpt={ckpt}", "n=1", f"code={code}", f"out={tmp_path}/one")
    wanted = (load(ckpt).sample(1, codes=codes)[0, 0] * 255).round().to(torch.uint8)
    found = torch.tensor(list(Image.open(out / "00000.png").getdata())).view(8, 8)
    assert torch.equal(found, wanted.long())
    assert not torch.equal(load(ckpt).sample(1, codes=codes), load(ckpt).sample(1, codes=[1, 1, -1]))


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("3", r"code=3 is no category: it is a whole number from 0 to 2"),
        ("0.5", r"code=0.5 is no category"),
        ("[0,0,0,0,0]", r"There are 5 values for 4 codes, categories of \[3, 4\] values and 2 continuous"),
        ("[0,0,x]", "give a number for each code"),
        ("xyzzy", "code=xyzzy is no category"),
        ("[0,0,nan]", "give a number for each code"),
    ],
)
def test_codes_that_there_are_not_are_a_sentence(ckpt: Path, tmp_path: Path, code: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        run(f"ckpt={ckpt}", f"code={code}", f"out={tmp_path}/none")
    assert not (tmp_path / "none").exists()


def test_codes_of_a_generator_without_any_are_a_sentence(saved: Save, checkpoint: Make, network: Any) -> None:
    with pytest.raises(UserError, match=r"Codes were given, but the generator in .* has none"):
        load(saved(checkpoint(network))).sample(1, codes=1)


@pytest.mark.parametrize("told", [{"categories": [1], "continuous": 0}, {"categories": 3}, [1], {"what": 1}, "codes"])
def test_damaged_codes_in_a_file_are_a_sentence(saved: Save, checkpoint: Make, coded: Any, told: Any) -> None:
    with pytest.raises(UserError, match="its entry 'codes' cannot be read"):
        load(saved(checkpoint(coded, codes=told)))


def test_codes_that_exceed_the_latents_are_a_sentence(saved: Save, checkpoint: Make, coded: Any) -> None:
    with pytest.raises(UserError, match="leave no noise"):
        load(saved(checkpoint(coded, codes={"categories": [10, 10], "continuous": 0})))
