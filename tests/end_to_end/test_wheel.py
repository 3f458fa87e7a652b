"""The installed wheel: all modules and configurations inside, and its commands work from any folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from commands import ROOT, run

SOURCES = ("gan_lightning", "hydra_plugins", "conf", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel of a copy of the sources, built without a network."""
    folder = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / "source" / name)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, folder / "source")
    return next(folder.glob("*.whl"))


def pip(*words: object) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, words)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)


@pytest.mark.slow
def test_all_code_and_configuration_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    source = wheel.parent / "source"
    code = {path.relative_to(source).as_posix() for top in SOURCES[:2] for path in (source / top).rglob("*.py")}
    files = {f"gan_lightning/{path.relative_to(source).as_posix()}" for path in (source / "conf").rglob("*.*")}
    assert len(code) > 50 and len(files) > 50 and not (code | files) - held
    assert {name.split("/")[0] for name in held if "dist-info" not in name} == {"gan_lightning", "hydra_plugins"}


@pytest.mark.slow
def test_the_wheel_has_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as held:
        folder = next(name.split("/")[0] for name in held.namelist() if ".dist-info/" in name)
        metadata = message_from_bytes(held.read(f"{folder}/METADATA"))
        assert held.read(f"{folder}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert metadata["License-Expression"] == "Apache-2.0" and metadata.get_all("License-File") == ["LICENSE"]
    assert metadata["Author"] == "The gan-lightning authors"


@pytest.mark.slow
def test_the_installed_commands_work_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    site, there = tmp_path / "site", tmp_path / "elsewhere"
    there.mkdir()
    pip("install", "--no-deps", "--no-compile", "--target", site, wheel)

    def call(name: str, *words: str, status: int = 0) -> str:
        ended = run([str(site / "bin" / name), *words], there, status, PYTHONPATH=str(site))
        return ended.stdout + ended.stderr

    assert "gan-lightning trains a GAN" in call("gan-train", "--help")
    assert "_target_: gan_lightning.networks.DCGANGenerator" in call("gan-train", "--cfg", "job")
    tiny = ["data.image_size=8", "model.generator.width=4", "model.discriminator.backbone.width=4", "trainer=cpu"]
    tiny += ["metrics=[]", "logger=[csv]", "max_kimg=0.064", "callbacks=[limit,checkpoint]", "run_dir=run"]
    assert "gan-generate ckpt=run" in call("gan-train", *tiny)
    call("gan-generate", "ckpt=run", "n=4", "out=samples.png")
    assert (there / "samples.png").stat().st_size > 0
    assert "gan-evaluate: Say what to evaluate" in call("gan-evaluate", status=1)
    where = run(["-c", "import gan_lightning; print(gan_lightning.__file__)"], there, PYTHONPATH=str(site)).stdout
    assert where.startswith(str(site))
