"""Two processes on half the batch each are one process on the whole batch."""

import os
import subprocess
import sys

import lightning as L
import pytest
import torch

from gan_lightning import UserError
from gan_lightning.data import Digits
from tests.modules.replicas import GAMES, build, train


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Train all games in two real gloo processes, started by Lightning."""
    folder = tmp_path_factory.mktemp("replicas")
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.getcwd()}
    command = [sys.executable, "tests/modules/replicas.py", "2", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", GAMES)
def test_two_processes_equal_one(weights, name):
    first, second = (torch.load(weights / f"{name}-{rank}.pt") for rank in (0, 1))
    alone, start = train(name, devices=1).state_dict(), build(name).state_dict()
    for key in alone:
        assert torch.equal(first[key], second[key]), f"the two processes differ in {key}"
        torch.testing.assert_close(first[key], alone[key], rtol=1e-4, atol=2e-6, msg=lambda m, key=key: f"{key}: {m}")
    assert any((alone[key] - start[key]).abs().max() > 1e-4 for key in alone)  # something was learnt


def test_lightnings_own_ddp_is_answered_with_a_sentence(monkeypatch):
    trainer = L.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    monkeypatch.setattr(type(trainer), "world_size", property(lambda self: 2))
    module = build("plain")
    module._trainer = trainer
    with pytest.raises(UserError, match=r"strategy=gan_lightning\.ReplicaStrategy\(\)"):
        module.on_fit_start()
    assert Digits(image_size=8).num_images == 1797


def test_a_process_ends_when_the_one_that_started_it_is_gone(tmp_path):
    """Else a rank whose rank zero has died would wait for it, and hold its terminal, for half an hour."""
    child = (
        "import os, time; from gan_lightning.training.distributed import end_with_parent; "
        f"end_with_parent(0.05); open(r'{tmp_path}/pid', 'w').write(str(os.getpid())); time.sleep(120)"
    )
    parent = (
        f"import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}])\n"
        f"while not os.path.exists(r'{tmp_path}/pid'): time.sleep(0.05)\n"
        "os._exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, timeout=100
    )  # waits for the child's pipe
    assert done.returncode == 1
