"""The sweeper `study`: an Optuna search whose trials are jobs of the launcher `processes`."""

# No `from __future__ import annotations`: dataclasses look in sys.modules, where Hydra's scan puts this file late.

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.gan_lightning_processes.launcher import NOT_A_JOBS, ProcessLauncher


@dataclass
class StudyConf:
    """n_trials: number of all trials, including those of an earlier start in the same folder.
    metric: kind of score to optimise; null for FID, or what is measured.

    params: the search space, KEY: values, in Hydra's override grammar. storage: see gan_lightning.sweeps.study.Search.
    """

    _target_: str = "hydra_plugins.gan_lightning_processes.sweeper.StudySweeper"
    n_trials: int = 20
    metric: str | None = None
    seed: int = 0
    n_startup_trials: int = 10
    storage: str | None = "sqlite"
    params: dict[str, str] = field(default_factory=dict)


ConfigStore.instance().store(group="hydra/sweeper", name="study", node=StudyConf, provider="gan_lightning")


class StudySweeper(Sweeper):
    """Gets as many trials from Optuna as run at a time, runs them and reports; failed trials do not end the search."""

    hydra_context: HydraContext
    config: DictConfig
    launcher: ProcessLauncher

    def __init__(
        self,
        n_trials: int,
        metric: str | None,
        seed: int,
        n_startup_trials: int,
        storage: str | None,
        params: dict[str, str],
    ) -> None:
        self.n_trials, self.metric, self.seed = n_trials, metric, seed
        self.n_startup_trials, self.storage, self.params = n_startup_trials, storage, params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher; UserError without Optuna, or with another launcher than `processes`."""
        from gan_lightning.errors import UserError
        from gan_lightning.sweeps.study import need_optuna

        need_optuna()
        self.hydra_context, self.config = hydra_context, config
        launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)
        if not isinstance(launcher, ProcessLauncher):
            raise UserError("A search runs its trials as processes of their own: use hydra/launcher=processes.")
        self.launcher = launcher

    def sweep(self, arguments: list[str]) -> Any:
        """Search, write the table and best.yaml, and return the best value; UserError if every trial failed."""
        from gan_lightning.errors import UserError
        from gan_lightning.sweeps.study import Search, objective, space_of
        from gan_lightning.sweeps.sweep_table import report

        metric = objective(self.metric, self.config.get("metrics") or {})
        space, fixed = space_of(self._overrides(arguments))
        if not space:
            raise UserError("There is nothing to search: give e.g. 'optim.lr=tag(log,interval(1e-5,1e-3))'.")
        folder, parallel = self.launcher.folder, self.launcher.n_jobs
        search = Search(folder, metric, self.seed, self.n_startup_trials, self.storage, parallel)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        if len(search):
            print(f"{folder} has {len(search)} of {self.n_trials} trials already.")
        complete = self._search(search, space, fixed)
        report(folder)
        best = search.write_best([word for word in fixed if not word.startswith(NOT_A_JOBS)])
        if best is not None:
            print(best)
        if not complete:
            raise SystemExit(130)
        if best is None:
            raise UserError(f"Every trial failed: {folder}/results.md says why.")
        return search.study.best_value

    def _search(self, search: Any, space: dict[str, Any], fixed: list[str]) -> bool:
        """Run the trials that are still to come; return False if the user interrupted."""
        while len(search) < self.n_trials:
            count = min(self.launcher.n_jobs, self.n_trials - len(search))
            asked = [search.ask(space) for _ in range(count)]
            batch = [[*fixed, *tried] for _, tried in asked]
            complete, returns = self.launcher.run(batch, asked[0][0].number)
            for (trial, _), job in zip(asked, returns, strict=True):
                search.tell(trial, job.return_value if job.status is JobStatus.COMPLETED else None)
            if not complete:
                return False
        return True

    def _overrides(self, arguments: list[str]) -> Iterator[Override]:
        """Yield the search space of the YAML for keys of this configuration, then the command line's overrides."""
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        given = parser.parse_overrides(arguments)
        named = {override.key_or_group for override in given}
        for key, tried in self.params.items():
            if key in named:
                continue
            if OmegaConf.select(self.config, key.lstrip("+")) is None:
                print(f"{key} is not searched: this configuration has no such key.")
                continue
            yield parser.parse_override(f"{key}={tried}")
        yield from given
