"""A player: its parameters, their optimiser, and the schedule of its learning rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from torch import nn
from torch.optim import Optimizer

Schedule = Callable[[float], float]
"""Maps progress, the share of the run's images already seen (0 to 1), to a factor on what it schedules."""


class Player:
    """Parameters with an optimiser and schedules.

    name: "generator", "discriminator", or another name that the game gives.
    parameters: those that it updates; a parameter may belong to two players.
    optimizer: a torch optimiser over exactly these parameters.
    schedule: factor on the learning rate over the run, None for constant.
    beta2_schedule: factor on 1 - beta2 of Adam over the run, None for constant.
    """

    def __init__(
        self,
        name: str,
        parameters: Iterable[nn.Parameter],
        optimizer: Optimizer,
        schedule: Schedule | None = None,
        beta2_schedule: Schedule | None = None,
    ) -> None:
        self.name = name
        self.parameters = list(parameters)
        self.optimizer = optimizer
        self.schedule, self.beta2_schedule = schedule, beta2_schedule
        self.base_rates = [group["lr"] for group in optimizer.param_groups]
        self.base_betas = [group.get("betas") for group in optimizer.param_groups]

    @property
    def learning_rate(self) -> float:
        """Return the present learning rate of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def set_progress(self, progress: float) -> None:
        """Set learning rates and beta2 from the schedules at `progress` (0 to 1) of the run."""
        if self.schedule is not None:
            factor = self.schedule(progress)
            for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
                group["lr"] = rate * factor
        if self.beta2_schedule is not None:
            factor = self.beta2_schedule(progress)
            for group, betas in zip(self.optimizer.param_groups, self.base_betas, strict=True):
                if betas is not None:
                    group["betas"] = (betas[0], 1 - (1 - betas[1]) * factor)


def correct_for_lazy_steps(optimizer: Optimizer, intervals: Iterable[int]) -> None:
    """Correct for the additional steps of lazy regularisers, one every `interval` steps (Karras et al. 2019).

    With c = 1 / (1 + sum 1/interval), so k / (k + 1) for a single one, Adam's lr becomes lr * c and its betas beta^c.
    Optimisers without betas are not changed. arXiv 1912.04958, appendix B.
    """
    c = 1 / (1 + sum(1 / interval for interval in intervals))
    for group in optimizer.param_groups:
        if "betas" in group and c < 1:
            group["lr"] *= c
            group["betas"] = tuple(beta**c for beta in group["betas"])
