"""What cannot be measured, in a sentence each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from gan_lightning.errors import UserError
from gan_lightning.evaluation.rows import FEATURES_NOT_FINITE, NOT_FINITE
from gan_lightning.metrics.base import Extractor, MetricFactory, Setting, consumed, kinds


def images(metrics: Mapping[str, MetricFactory], setting: Setting, split: str) -> None:
    """Raise a UserError where there are no real images to compare with, or too few."""
    if len(setting.image_shape) == 1:
        raise UserError(
            f"metrics={listed(metrics)} compares images, and data={setting.data} holds points: use metrics=[modes]."
        )
    if setting.num_reals < 2:
        raise UserError(
            f"data={setting.data} has {setting.num_reals} image in its split '{split}', and scores need at least 2: "
            "add images, or use metrics=[]."
        )


def logits(metrics: Mapping[str, MetricFactory], extractor: Extractor | None) -> None:
    """Raise a UserError where a metric takes logits that the extractor has not."""
    for name, factory in metrics.items():
        if extractor is not None and not extractor.has_logits and "logits" in kinds(factory):
            raise UserError(
                f"metrics=[{name}] needs classes that images are put into, and extractor={extractor.name} has features "
                "alone: leave it out, as by metrics=[fid], or use extractor=inception."
            )


def labels(metrics: Mapping[str, MetricFactory], setting: Setting) -> None:
    """Raise a UserError where a metric takes classes that there are not."""
    for name, factory in metrics.items():
        if "labels" in kinds(factory) and not setting.labels:
            raise UserError(f"metrics=[{name}] needs classes, and data={setting.data} is unlabelled: leave it out.")
        if "labels" in consumed(factory) and not setting.fakes_labelled:
            raise UserError(f"metrics=[{name}] needs samples of given classes, and these have none: leave it out.")


def refused(
    metrics: Mapping[str, MetricFactory], check: Callable[[Mapping[str, MetricFactory]], None]
) -> dict[str, str]:
    """Return for each metric that `check` raises a UserError for what it says."""
    reasons = {}
    for name, factory in metrics.items():
        try:
            check({name: factory})
        except UserError as error:
            reasons[name] = str(error)
    return reasons


def samples(states: Sequence[int], setting: Setting) -> str | None:
    """Return why samples with these counts of states have no scores; None if they are all fine."""
    if states[NOT_FINITE]:
        return (
            f"{states[NOT_FINITE]:,} of {setting.num_fakes:,} samples are not finite (NaN or infinity), so this "
            "evaluation has no scores: training has diverged; try a lower learning rate or trainer.precision=32-true."
        )
    if states[FEATURES_NOT_FINITE]:
        return (
            f"The {setting.extractor} features of {states[FEATURES_NOT_FINITE]:,} of {setting.num_fakes:,} samples are "
            "not finite, so this evaluation has no scores: the extractor's weights are damaged."
        )
    return None


def diverged(name: str) -> str:
    """Return why there are no scores where a metric that measures the generator was given samples that are NaN."""
    return (
        f"metrics=[{name}] was given samples that are not finite (NaN or infinity), so this evaluation has no scores: "
        "training has diverged; try a lower learning rate or trainer.precision=32-true."
    )


def listed(names: Iterable[str]) -> str:
    """Return names as an option is written: [fid,is]."""
    return f"[{','.join(names)}]"
