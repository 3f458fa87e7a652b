"""A search by Optuna: a search space in Hydra's override grammar, and a study that can be resumed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from omegaconf import OmegaConf

from gan_lightning.errors import UserError, suggest
from gan_lightning.paths import write_atomically
from gan_lightning.scores import LOWER_IS_BETTER, find, kind
from gan_lightning.sweeps.result import Result

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

SCORE_OF = {"fid": "fid", "kid": "kid", "modes": "high_quality", "is": "is"}  # of a configured metric


def need_optuna() -> None:
    """Raise UserError if Optuna is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("A search needs Optuna: pip install 'gan-lightning[optuna]'.") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def objective(wanted: str | None, configured: Iterable[str]) -> str:
    """Return the kind of score to optimise: the wanted one, else that of the first configured metric.

    Raises UserError if it is not a score, or if nothing is measured.
    """
    if wanted is None:
        names = list(configured)
        measured = [SCORE_OF[name] for name in SCORE_OF if name in names]
        measured += [name for name in names if name in LOWER_IS_BETTER]  # swd, intra_fid: also names of scores
        if not measured:
            raise UserError("A search needs a score to go by, and metrics=[] measures none: choose e.g. metrics=[fid].")
        return measured[0]
    if kind(wanted) is None:
        raise UserError(f"hydra.sweeper.metric={wanted} is no score: choose one of {suggest(wanted, LOWER_IS_BETTER)}.")
    return wanted


def space_of(overrides: Iterable[Override]) -> tuple[dict[str, BaseDistribution], list[str]]:
    """Split overrides into distributions of the search space, and fixed overrides as written.

    If a key is given twice, the later one is used.
    """
    latest = {override.key_or_group: override for override in overrides}
    tried = {o.get_key_element(): distribution(o) for o in latest.values() if o.is_sweep_override()}
    fixed = [o.input_line or "" for o in latest.values() if not o.is_sweep_override()]
    return tried, fixed


def distribution(override: Override) -> BaseDistribution:
    """Return Optuna's distribution for choice(...), a,b,c, range(...), interval(...); tag(log, ...) is logarithmic.

    range excludes its stop, as in Hydra; int(interval(1, 8)) includes both ends. The values of a choice, also lists,
    are kept as written in the override.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    value = override.value()
    log = isinstance(value, IntervalSweep | RangeSweep) and "log" in value.tags
    try:
        if isinstance(value, IntervalSweep) and isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log)
        if isinstance(value, IntervalSweep):
            return FloatDistribution(float(value.start or 0), float(value.end or 0), log=log)
        if isinstance(value, RangeSweep):
            numbers: list[Any] = sorted(override.sweep_iterator())  # type: ignore[type-var]
            if all(isinstance(number, int) for number in numbers):
                return IntDistribution(numbers[0], numbers[-1], log=log, step=1 if log else abs(int(value.step)))
            return FloatDistribution(numbers[0], numbers[-1], step=abs(float(value.step)))
        return CategoricalDistribution(list(dict.fromkeys(override.sweep_string_iterator())))
    except (ValueError, IndexError) as error:
        raise UserError(f"{override.input_line} cannot be searched: {error}.") from error


class Search:
    """An Optuna study in a sweep's folder: the tree-structured Parzen estimator (Bergstra et al. 2011), seeded.

    storage: "sqlite" for study.db in `folder`, None for memory, else a URL of Optuna's. startup: random trials first.
    """

    def __init__(self, folder: Path, metric: str, seed: int, startup: int, storage: str | None, parallel: int) -> None:
        import optuna
        from optuna.study import StudyDirection

        folder.mkdir(parents=True, exist_ok=True)
        url = f"sqlite:///{folder}/study.db" if storage == "sqlite" else storage
        lower = LOWER_IS_BETTER[kind(metric) or ""]
        direction = StudyDirection.MINIMIZE if lower else StudyDirection.MAXIMIZE
        self.folder, self.metric = folder, metric
        self.study: Study = optuna.create_study(
            study_name="gan-lightning", storage=url, load_if_exists=True, direction=direction
        )
        if self.study.direction is not direction:
            raise UserError(f"The study in {folder} was made for another score than {metric}: choose another folder.")
        self._give_up_lost_trials()
        self.study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(self.study.trials), n_startup_trials=startup, constant_liar=parallel > 1
        )

    def __len__(self) -> int:
        """Return the number of trials so far, including failed ones."""
        return len(self.study.trials)

    def ask(self, space: Mapping[str, BaseDistribution]) -> tuple[Trial, list[str]]:
        """Return the next trial and its overrides; raises UserError if the study has another search space."""
        try:
            trial = self.study.ask(dict(space))
        except ValueError as error:
            raise UserError(
                f"The study in {self.folder} was made over another space ({error}): give the same one, or another "
                "run_dir."
            ) from error
        return trial, [f"{key}={value}" for key, value in trial.params.items()]

    def tell(self, trial: Trial, result: Result | None) -> None:
        """Report a trial's best score to the study; a trial without one failed."""
        name = find(result.best, self.metric) if result is not None and result.done else None
        if result is None or name is None:
            self.fail(trial)
        else:
            self.study.tell(trial, result.best[name])

    def fail(self, trial: Trial) -> None:
        """Report a failed trial to the study; the search continues."""
        from optuna.trial import TrialState

        self.study.tell(trial, state=TrialState.FAIL)

    def write_best(self, fixed: Sequence[str]) -> str | None:
        """Write best.yaml and return the best trial in one sentence; None if all trials failed."""
        from optuna.trial import TrialState

        if not self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            return None
        best = self.study.best_trial
        tried = [f"{key}={value}" for key, value in best.params.items()]
        saved = {"trial": best.number, "metric": self.metric, "value": best.value, "overrides": [*fixed, *tried]}
        write_atomically(self.folder / "best.yaml", lambda path: path.write_text(OmegaConf.to_yaml(saved)))
        where = f"({self.folder}/best.yaml)"
        return f"best trial: {best.number} with {self.metric} {best.value:.4g}: {' '.join(tried)} {where}"

    def _give_up_lost_trials(self) -> None:
        """Mark trials that a killed sweep left as running as failed."""
        from optuna.trial import TrialState

        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self.study.tell(trial.number, state=TrialState.FAIL)
