"""docs/extending.md is true: its files train, resume, load and compute what their papers say, by its own commands."""

from __future__ import annotations

import csv
import importlib
import math
import re
import shlex
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

import gan_lightning
from gan_lightning import GAN
from gan_lightning.cli.generate import generate
from gan_lightning.cli.train import main
from gan_lightning.contracts import DuelStep
from gan_lightning.data import Ring
from gan_lightning.data.prepare import prepare
from gan_lightning.errors import UserError
from gan_lightning.networks import Discriminator, DiscriminatorOutput, MLP2dBackbone, MLP2dGenerator
from tests.conftest import fit
from tests.duel_step import duel_step

PAGE = (Path(__file__).parents[2] / "docs/extending.md").read_text()
BLOCKS = re.findall(r"```(python|yaml|sh)\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [line for kind, text in BLOCKS if kind == "sh" for line in text.splitlines() if " train.py " in line]
SMALL = [
    "data.image_size=8",
    "data.batch_size=16",
    "metrics=[]",
    "callbacks=[nan_guard,limit,checkpoint]",
    "logger=[csv]",
    "log_every=1",
    "trainer=cpu",
    "trainer.limit_train_batches=2",
    "hydra.run.dir=run",
]
NARROW = ["model.generator.width=16", "model.discriminator.backbone.width=16"]
HEAD = "my_gans.am_gan.ActivationMaximizationHead"


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Write the page's files into an empty folder and go there."""
    for kind, text in BLOCKS:
        if kind != "sh":
            path = tmp_path / re.search(r"^# (my_\S+)$", text, re.MULTILINE)[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "my_gans"]:
        del sys.modules[name]


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    """Run the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    main()


def columns() -> set[str]:
    """Return the names of the scalars that the run reported."""
    with open("run/metrics.csv") as file:
        return set(next(csv.reader(file)))


def own(module: str) -> object:
    return importlib.import_module(f"my_gans.{module}")


def test_each_thing_is_one_python_file_and_one_yaml_file(studio: Path) -> None:
    files = sorted(str(path.relative_to(studio)) for path in studio.rglob("*.*") if "__pycache__" not in path.parts)
    python = [name for name in files if name.endswith(".py")]
    assert len(files) == 12 and len(python) == 6
    named = [re.search(r"my_gans\.(\w+)\.", (studio / name).read_text())[1] for name in files if name not in python]
    assert sorted(f"my_gans/{name}.py" for name in named) == python


def test_a_game_is_under_40_lines_and_none_of_the_command_line(studio: Path) -> None:
    assert len((studio / "my_gans/latent_regressor.py").read_text().splitlines()) < 40
    code = "".join(path.read_text() for path in (Path(gan_lightning.__file__).parent / "cli").glob("*.py"))
    assert "generator" in code and "encoder" not in code


REPORTED = {
    "loss=f_divergence": set(),
    "regularizer=[zero_centered]": {"loss/zero_centered"},
    "conditioning=am_gan": {"loss/classes_discriminator", "loss/classes_generator"},
    "model=small": {"loss/r1"},
    "data=stripes": set(),
    "model=latent_regressor": {"loss/latents", "loss/encoder", "loss/r1", "lr/encoder"},
}


@pytest.mark.parametrize("line", COMMANDS)
def test_the_commands_train_resume_and_leave_a_generator(
    line: str, studio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(line)[2:]
    (choice,) = [word for word in words if word in REPORTED]
    run(monkeypatch, *words, *SMALL, *NARROW, "max_epochs=1")
    checkpoint = torch.load("run/checkpoints/last.ckpt", weights_only=True)["gan_lightning"]
    assert checkpoint["images_seen"] == 32 and "my_gans." in str(checkpoint["config"])
    assert columns() >= REPORTED[choice]
    assert ("loss/discriminator" in columns()) == (choice != "conditioning=am_gan")

    run(monkeypatch, "resume=run", "max_epochs=2", "hydra.run.dir=run", "hydra.output_subdir=null")
    again = torch.load("run/checkpoints/last.ckpt", weights_only=True)["gan_lightning"]
    assert again["images_seen"] == 64 and again["networks"] == checkpoint["networks"]

    trusted = []
    if choice == "model=small":
        with pytest.raises(UserError, match=r"asks for the class my_gans\.small\.SmallGenerator.*trusted="):
            gan_lightning.load("run")
        trusted = [own("small").SmallGenerator]
    assert gan_lightning.load("run", trusted=trusted).sample(3).shape == (3, 1, 8, 8)


def test_all_of_them_together(studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [word for word in REPORTED if word not in ("conditioning=am_gan", "model=latent_regressor")]
    run(monkeypatch, "--config-dir", "my_conf", *chosen, "conditioning=projection", *SMALL, *NARROW, "max_epochs=1")
    loaded = gan_lightning.load("run", trusted=["my_gans.small.SmallGenerator"])
    assert loaded.sample(2, labels=1).isfinite().all() and loaded.num_classes == 2


def test_the_head_judges_samples_when_it_is_trusted(studio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(monkeypatch, "--config-dir", "my_conf", "conditioning=am_gan", *SMALL, *NARROW, "max_epochs=1")
    words = ["ckpt=run", "n=4", "label=3", "rejection=true", "out=samples.png"]
    with pytest.raises(UserError, match=rf"asks for the class {HEAD}.*trusted="):
        generate(words)
    assert generate([*words, f"trusted=[{HEAD}]"]).stat().st_size > 0


TYPOS = {
    "loss/f_divergence": ("divergence: squared", "divergance: squared", "loss has no option divergance: FDivergence"),
    "regularizer/zero_centered": ("weight:", "wieght:", "regularizer.zero_centered has no option wieght: ZeroCentered"),
    "conditioning/am_gan": ("am_gan.Act", "am_gan.Atc", "cannot be imported: "),
    "model/small": ("width:", "widht:", "has no option widht: Small"),
    "data/stripes": ("number: 2000", "number: many", "data.number=many is not possible: it is a whole number"),
    "model/latent_regressor": (
        "weight: 1.0",
        "wieght: 1.0",
        "model has no option wieght: LatentRegressor takes weight",
    ),
}


@pytest.mark.parametrize("name", TYPOS)
def test_a_typo_in_the_yaml_is_one_sentence(
    name: str, studio: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong, said = TYPOS[name]
    path = studio / f"my_conf/{name}.yaml"
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong))
    group, option = name.split("/")
    word = f"{group}=[{option}]" if group == "regularizer" else f"{group}={option}"
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, "--config-dir", "my_conf", word, *SMALL)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1 and said in lines[0], lines
    assert not (studio / "run/config.yaml").exists()


# What they compute -----------------------------------------------------------------------------------------------

REAL, FAKE = torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.75])
RATIO = REAL / FAKE
BEST = {  # the logit at which the bound is tight, and the divergence of REAL from FAKE
    "kl": (1 + RATIO.log(), (REAL * RATIO.log()).sum()),
    "reverse_kl": (RATIO.log(), -(FAKE * RATIO.log()).sum()),
    "squared_hellinger": (RATIO.log() / 2, (REAL.sqrt() - FAKE.sqrt()).square().sum()),
}


@pytest.mark.parametrize("divergence", BEST)
def test_the_best_discriminator_attains_the_divergence(divergence: str, studio: Path) -> None:
    loss = own("f_divergence").FDivergence(divergence)
    best, value = BEST[divergence]

    def bound(logits: torch.Tensor) -> float:  # samples of the two outcomes as often as their probabilities say
        return -loss.discriminator(logits[[0, 1]], logits[[0, 1, 1, 1]]).item()

    assert bound(best) == pytest.approx(value.item(), abs=1e-6) and value > 0.01
    for move in torch.tensor([[0.3, 0.0], [0.0, -0.3], [-0.2, 0.2]]):
        assert bound(best + move) < bound(best)


def test_the_generators_side_on_fixed_logits(studio: Path) -> None:
    logits = torch.tensor([0.0, math.log(2)])
    values = {"kl": -math.log(2) / 2, "reverse_kl": 0.75, "squared_hellinger": -0.25}
    for divergence, value in values.items():
        loss = own("f_divergence").FDivergence(divergence)
        assert loss.generator(None, logits).item() == pytest.approx(value)


class Critic(nn.Module):
    """D(x) = 3 x_0 + 4 x_1 + curvature |x|^2 / 2."""

    def __init__(self, curvature: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 4.0]))
        self.curvature = curvature

    def forward(self, images: torch.Tensor, labels: torch.Tensor | None = None) -> torch.Tensor:
        return images @ self.weight + self.curvature * images.square().sum(1) / 2


class Points(nn.Module):
    latent_dim, num_classes = 2, 0

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z


def test_the_penalty_on_linear_and_quadratic_critics(studio: Path) -> None:
    from gan_lightning.regularizers.penalties import interpolate

    def step(curvature: float) -> DuelStep:
        return duel_step(Points(), Critic(curvature), {"image": torch.randn(6, 2)}, "discriminator")

    penalty = own("zero_centered").ZeroCentered(weight=2.0)
    assert penalty(step(0.0)).item() == pytest.approx(50)
    curved = step(0.5)
    gradients = curved.discriminator.weight + 0.5 * interpolate(curved)
    value = penalty(curved)
    assert value.item() == pytest.approx(2 * gradients.square().sum(1).mean().item(), rel=1e-5)
    value.backward()
    assert torch.allclose(curved.discriminator.weight.grad, 4 * gradients.detach().mean(0), rtol=1e-5)


def test_the_heads_terms_and_logits(studio: Path) -> None:
    head = own("am_gan").ActivationMaximizationHead(feature_dim=4, num_classes=2)
    nn.init.zeros_(head.linear.weight)
    with torch.no_grad():
        head.linear.bias.copy_(torch.tensor([0.0, math.log(2), math.log(3)]))  # shares 1/6, 2/6, 3/6
    labels = torch.tensor([0, 1])
    output = head(torch.randn(2, 4), labels)
    assert isinstance(output, DiscriminatorOutput) and torch.allclose(output.logits, torch.zeros(2), atol=1e-6)

    def told(player: str, real: bool) -> float:
        return head.loss(output, labels, player, real)["classes"].item()

    in_their_class = (math.log(6) + math.log(3)) / 2
    assert told("discriminator", True) == pytest.approx(in_their_class, abs=1e-6)
    assert told("generator", False) == pytest.approx(in_their_class, abs=1e-6)
    assert told("discriminator", False) == pytest.approx(math.log(2), abs=1e-6)


def test_the_stripes_are_waves_of_their_class(studio: Path) -> None:
    data = own("stripes").Stripes(image_size=16, channels=3, num_classes=2, number=6)
    images, labels = data.source("train").images, data.source("train").labels
    assert images.shape == (6, 3, 16, 16) and images.dtype == torch.uint8 and labels.tolist() == [0, 1] * 3
    upright = images.float().var(2).amax((1, 2)) == 0  # a column of an upright stripe is of one grey
    assert upright.tolist() == [True, False] * 3
    assert (images[:, 0].flatten(1).float().std(1) > 20).all()
    data.batch_size = 2
    batch = prepare(next(iter(data.train_dataloader())), data.fields, torch.contiguous_format)
    assert torch.equal(batch["mask"], (batch["image"][:, :1] > 0).float()) and data.fields["mask"].kind == "mask"


def test_the_encoder_learns_to_find_the_latents_and_nothing_else(studio: Path) -> None:
    """With the error's weight at 0, G and D are to the last digit those of a GAN; above it, G moves otherwise."""

    def trained(weight: float | None) -> tuple[GAN, list[dict[str, float]]]:
        torch.manual_seed(0)
        networks = MLP2dGenerator(width=16), Discriminator(MLP2dBackbone(width=16))
        for parameter in networks[0].parameters():
            parameter.data *= 3  # so that points lie far apart from the start
        adam = partial(torch.optim.Adam, lr=0.02)
        if weight is None:
            game = GAN(*networks)
        else:
            game = own("latent_regressor").LatentRegressor(*networks, MLP2dBackbone(width=16), adam, weight)
        return game, fit(game, Ring(num_points=640, batch_size=64), 10, 4, log_every=10).loggers[0].rows

    (plain, _), (idle, rows), (helped, _) = trained(None), trained(0.0), trained(1.0)
    errors = [row["loss/encoder"] for row in rows if "loss/encoder" in row]
    assert len(errors) == 4 and errors[-1] < 0.7 * errors[0]
    differing = set()
    for name, value in plain.state_dict().items():
        assert torch.equal(value, idle.state_dict()[name]), name
        differing |= set() if torch.equal(value, helped.state_dict()[name]) else {name.partition(".")[0]}
    assert differing == {"generator", "generator_ema", "discriminator"}
