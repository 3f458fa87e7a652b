"""Two processes measure what one does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from test_kinds_of_metrics import Conditional, Looks, Witness
from tiny_evaluation import LinearExtractor, TinyData
from torch import Tensor

from gan_lightning.errors import UserError
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception_score import InceptionScore
from gan_lightning.metrics.modes import Modes
from gan_lightning.metrics.preset import Preset


class Picky(LinearExtractor):
    """Refuses on rank zero."""

    def check(self, data: object) -> None:
        if dist.get_rank() == 0:
            raise UserError("Rank zero says no.")


def measure(drawn: list[range], batch_size: int = 8) -> dict[str, float]:
    fakes = TinyData(seed=1).images.images

    def sample(start: int, stop: int, labels: Tensor) -> Tensor:
        drawn.append(range(start, stop))
        return fakes[start:stop] // 2 + labels.byte()[:, None, None, None]

    metrics = {"fid": FID, "is": InceptionScore, "witness": Witness, "looks": Looks}
    evaluator = Evaluator(metrics, TinyData(), LinearExtractor(), batch_size=batch_size)
    evaluator.attach(Conditional())
    return evaluator.evaluate(sample) | {f"floor {name}": value for name, value in evaluator.floor.items()}


def process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    for part in (shared, left_out):
        (folder / f"{part.__name__}{rank}.json").write_text(json.dumps(part(rank)))
    dist.destroy_process_group()


def shared(rank: int) -> dict[str, Any]:
    """Return the scores of a measurement, and which samples this process drew for it."""
    drawn: list[range] = []
    scores = measure(drawn)
    with pytest.raises(UserError, match="Rank zero says no"):
        Evaluator({"fid": FID}, TinyData(), Picky()).prepare()
    return {"scores": scores, "indices": [index for part in drawn for index in part]}


def left_out(rank: int) -> list[Any]:
    """Return the scores of a measurement that leaves metrics out, which ones, and which remain."""
    fakes = TinyData(seed=1).images.images
    metrics = {"fid": FID, "modes": Modes, "full": Preset(["fid", "modes"])}
    evaluator = Evaluator(metrics, TinyData(), LinearExtractor(), batch_size=8)
    if rank == 0:
        evaluator.check()  # as training does before it starts the other processes
    scores = evaluator.evaluate(lambda start, stop: fakes[start:stop])
    return [scores, list(evaluator.left_out), list(evaluator.metrics)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run `process` twice, beside each other with an empty cache; return where each left what it saw."""
    folder = tmp_path_factory.mktemp("processes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_LIGHTNING_CACHE", str(folder / "cache"))
        mp.start_processes(process, args=(folder,), nprocs=2, start_method="spawn")
    return folder


def told(folder: Path, part: str) -> list[Any]:
    return [json.loads((folder / f"{part}{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_share_the_work_and_agree_with_one(folder: Path) -> None:
    expected = measure([], batch_size=32)
    first, second = told(folder, "shared")
    assert first["scores"] == second["scores"]
    assert first["scores"] == pytest.approx(expected, rel=1e-6)
    looked_at = list(range(9))  # by the metric of the generator itself, on one process
    assert sorted(first["indices"] + second["indices"]) == sorted([*range(90), *looked_at])
    assert abs(len(first["indices"]) - len(looked_at) - len(second["indices"])) <= 8


@pytest.mark.slow
def test_two_processes_leave_the_same_metrics_out(folder: Path) -> None:
    first, second = told(folder, "left_out")
    assert first == second and first[1:] == [["modes"], ["fid"]] and len(first[0]) == 1
