"""What scores cost beside the extractor's passes: python experiments/speed/metrics.py [--images 64] [--rounds 2]

FID, IS, KID and precision/recall by our evaluator, against the extractor alone and against torchmetrics' own classes,
each of which brings and runs its own Inception. Weights are random (they cost the same), images are noise. Contenders
take turns; times are CPU seconds of one thread, so that other programs on the machine do not count.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric

from gan_lightning.data.sources import TensorImages
from gan_lightning.evaluation.evaluator import Evaluator
from gan_lightning.metrics.fid import FID
from gan_lightning.metrics.inception import Inception
from gan_lightning.metrics.inception_score import InceptionScore
from gan_lightning.metrics.kid import KID
from gan_lightning.metrics.neighbours import PrecisionRecall

BATCH = 16
clock = time.process_time


class Maths:
    """Seconds in the final maths of metrics, which no contender can save by sharing an extractor."""

    seconds = 0.0

    def timed(self, kind: type[Metric]) -> type[Metric]:
        """Return `kind` with the maths of both sides on this clock."""

        def watched(name: str) -> Callable[..., Any]:
            def method(metric: Metric) -> Any:
                start = clock()
                try:
                    return getattr(kind, name)(metric)
                finally:
                    self.seconds += clock() - start

            return method

        return type(
            kind.__name__, (kind,), {"__module__": __name__, **{n: watched(n) for n in ("compute", "finish_real")}}
        )


class Noise:
    """Images in the place of a data module; once closed, looking at one is an error."""

    name, num_classes, image_shape, num_workers = "noise", 0, (3, 32, 32), 0

    def __init__(self, images: Tensor) -> None:
        self.images, self.closed = TensorImages(images), False

    def reference(self, split: str) -> Any:
        return Closed(self.images.images) if self.closed else self.images

    def fingerprint(self, split: str) -> str:
        return f"{self.images.fingerprint}/{split}"


class Closed(TensorImages):
    def __getitem__(self, index: int) -> Any:
        raise AssertionError("the second evaluation read real images")


def random_weights(folder: Path) -> Path:
    """Write a file in the format of Inception's weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    empty = io.BytesIO()
    torch.save({}, empty)
    empty.seek(0)
    torch.manual_seed(0)
    load, nn.Module.load_state_dict = nn.Module.load_state_dict, lambda *_: None
    try:
        network = FeatureExtractorInceptionV3("random", ["2048"], empty)
    finally:
        nn.Module.load_state_dict = load
    torch.save(network.state_dict(), folder / "inception.pth")
    return folder / "inception.pth"


def alone(extractor: Inception, fakes: Tensor) -> float:
    """Return the seconds of the forward passes over the samples."""
    start = clock()
    for part in fakes.split(BATCH):
        extractor(part)
    return clock() - start


def ours(extractor: Inception, reals: Tensor, fakes: Tensor) -> dict[str, float]:
    """Return the seconds of a first and a second evaluation, without and with the final maths."""
    seconds, maths = {}, Maths()
    kinds = {"fid": FID, "is": InceptionScore, "kid": KID, "precision_recall": PrecisionRecall}
    data, metrics = Noise(reals), {name: maths.timed(kind) for name, kind in kinds.items()}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["GAN_LIGHTNING_CACHE"] = cache
        for which in ("first", "second"):
            evaluator = Evaluator(metrics, data, extractor, batch_size=BATCH)
            maths.seconds, start = 0.0, clock()
            scores = evaluator.evaluate(lambda low, high: fakes[low:high])
            seconds[f"{which} with maths"] = clock() - start
            seconds[which] = seconds[f"{which} with maths"] - maths.seconds
            data.closed = True  # what follows must not read a real image
    assert len(scores) == 7, scores
    return seconds


def stock(weights: Path, reals: Tensor, fakes: Tensor) -> dict[str, float]:
    """Return the seconds of torchmetrics' classes, each fed by itself: its passes over both sides, and its maths."""
    seconds = {"real": 0.0, "fake": 0.0, "maths": 0.0}
    for metric, sides in stock_metrics(weights, len(fakes)):
        for side in sides:
            start = clock()
            for part in (reals if side == "real" else fakes).split(BATCH):
                metric.update(part) if sides == ("fake",) else metric.update(part, real=side == "real")
            seconds[side] += clock() - start
        start = clock()
        metric.compute()
        seconds["maths"] += clock() - start
    return seconds


def stock_metrics(weights: Path, count: int) -> list[tuple[Metric, tuple[str, ...]]]:
    """Return FID, IS and KID of torchmetrics, each with an Inception of its own, and the sides it takes."""
    from torchmetrics.image.fid import FrechetInceptionDistance, NoTrainInceptionV3
    from torchmetrics.image.inception import InceptionScore as StockInceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    def inception(layer: str) -> nn.Module:
        return NoTrainInceptionV3("inception-v3-compat", [layer], str(weights), antialias=False)

    fid = FrechetInceptionDistance(antialias=False, feature_extractor_weights_path=str(weights))
    kid = KernelInceptionDistance(inception("2048"), subset_size=min(1000, count))
    both = ("real", "fake")
    return [(fid, both), (kid, both), (StockInceptionScore(inception("logits_unbiased")), ("fake",))]


def play(images: int, weights: Path) -> dict[str, float]:
    """Let all contenders play once and return the ratios."""
    stream = torch.Generator().manual_seed(0)
    reals, fakes = (torch.randint(256, (images, 3, 32, 32), generator=stream, dtype=torch.uint8) for _ in range(2))
    extractor = Inception(str(weights))
    extractor.prepare(None, "cpu")
    alone(extractor, fakes[:BATCH])  # warms up
    passes, mine, theirs = alone(extractor, fakes), ours(extractor, reals, fakes), stock(weights, reals, fakes)
    separately = theirs["real"] + theirs["fake"]
    return {
        "second evaluation takes, of the extractor's passes alone": mine["second"] / passes,
        "stock takes, of our first evaluation": separately / mine["first"],
        "stock takes, of our second evaluation": separately / mine["second"],
        "stock that keeps its real features takes, of our second evaluation": theirs["fake"] / mine["second"],
        "stock takes, of our first evaluation, final maths included": (separately + theirs["maths"])
        / mine["first with maths"],
        "stock takes, of our second evaluation, final maths included": (separately + theirs["maths"])
        / mine["second with maths"],
        "images per second of the extractor": images / passes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64, help="of each kind")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # so few samples are doubtful, and we say so
    with tempfile.TemporaryDirectory() as folder:
        weights = random_weights(Path(folder))
        rounds = [play(options.images, weights) for _ in range(options.rounds)]
    for name in rounds[0]:
        values = [found[name] for found in rounds]
        print(f"{name}: {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})")


if __name__ == "__main__":
    main()
