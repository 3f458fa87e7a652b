"""The part of every game that callbacks, loggers and checkpoints use: counters, scores, reports, samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn

from gan_lightning.data.degradations import Degradation
from gan_lightning.data.fields import Field
from gan_lightning.data.place import Place
from gan_lightning.errors import UserError
from gan_lightning.hooks import call
from gan_lightning.inference.former import FORMAT, upgrade
from gan_lightning.inference.producers import Picture, Producer, chosen, picture
from gan_lightning.modules import going_on, state
from gan_lightning.training.distributed import broadcast_buffers, mean_over_processes
from gan_lightning.training.player import Player
from gan_lightning.training.scalars import Scalars


class Record(L.LightningModule):
    """Counters, samples, reports, and the entry "gan_lightning" of a checkpoint.

    A game defines its networks and producers, and sets `players`.

    iteration: number of finished iterations. images_seen: real images used so far, over all processes.
    place: the place in the data from which iterations are counted; another than the start after a resume.
    latest: the training scalars that were fetched last. scores: of the last evaluation, after `scored_at` images.
    best: the best value of each score.
    config: the run's resolved configuration in plain containers, None without the command line.
    protocol: how the scores were measured.
    max_kimg: the run's length in thousands of images, None if it has no such limit.
    task: makes a source from each image, None for none. takes_source: whether the game makes images from a source.
    batch_fields: fields of the batches, if the data module declares them.
    """

    takes_source: ClassVar[bool] = False

    def __init__(self) -> None:
        super().__init__()
        self.iteration = self.images_seen = 0
        self.place = Place()
        self.latest: dict[str, float] = {}
        self.scores: dict[str, float] = {}
        self.best: dict[str, float] = {}
        self.scored_at: int | None = None
        self.config: dict[str, Any] | None = None
        self.protocol: str | None = None
        self.max_kimg: float | None = None
        self.task: Degradation | None = None
        self.batch_fields: Mapping[str, Field] = {}
        self.scalars = Scalars()
        self.players: dict[str, Player] = {}

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks by the names under which a checkpoint describes them."""
        raise NotImplementedError

    def name_of(self, network: nn.Module) -> str | None:
        """Return the name of a network, also for its average; None if it is none of `networks`."""
        return next(
            (n for n, own in self.networks().items() if network in (own, getattr(self, f"{n}_ema", None))), None
        )

    def judges(self) -> dict[str, str]:
        """Return for each network that makes samples the name of the discriminator that judges them; {} by default."""
        return {}

    def judge_of(self, network: nn.Module) -> nn.Module | None:
        """Return the discriminator that judges the samples of `network`, or of its average; None if there is none."""
        return self.networks().get(self.judges().get(self.name_of(network) or "", ""))

    # Samples and reports ---------------------------------------------------------------------------------------------

    def sample(self, start: int, stop: int, seed: int = 0, labels: Tensor | None = None, raw: bool = False) -> Tensor:
        """Return the samples [start, stop) of stream `seed`, `(n, C, H, W)` in [-1, 1], on the module's device.

        labels: `(n,)` for a conditional generator, None draws them.
        raw: use the trained weights instead of their average.
        """
        return chosen(self.producers(seed, raw))(start, stop, labels)["images"]

    def producers(self, seed: int = 0, raw: bool = False) -> dict[str, Producer]:
        """Return the producers of samples of stream `seed` by name; the first is evaluated and shown. None by default.

        raw: with the trained weights instead of their average.
        """
        return {}

    def pictures(self, rows: int, columns: int, points: int, seed: int) -> dict[str, Picture]:
        """Return the game's present pictures by name: those of its producers, in order.

        rows, columns: of a grid. points: number of samples if they are 2-D points.
        """
        return {name: picture(made, rows, columns, points) for name, made in self.producers(seed).items()}

    def synchronise_buffers(self) -> None:
        """Give all processes the same batch-norm statistics; call before they generate together."""
        broadcast_buffers(self)

    def flush(self) -> dict[str, float]:
        """Fetch the training scalars gathered so far, tell callbacks and loggers, and return them."""
        reduce = mean_over_processes if self.trainer.world_size > 1 else None
        scalars = self.scalars.flush(reduce)
        if scalars:
            scalars |= {f"lr/{name}": player.learning_rate for name, player in self.players.items()}
            self.latest = scalars
            call(self.trainer, "on_scalars", scalars)
            self.report(scalars)
        return self.latest

    def report(self, values: dict[str, float]) -> None:
        """Send `values` to all loggers at the present `images_seen`; only rank zero's write."""
        row = {**values, "images_seen": self.images_seen, "epoch": self.trainer.current_epoch}
        for logger in self.trainer.loggers:
            logger.log_metrics(row, step=self.images_seen)

    def on_train_end(self) -> None:
        """Report the scalars of the last iterations."""
        with torch.no_grad():
            self.flush()

    # Checkpoints -----------------------------------------------------------------------------------------------------

    @property
    def batches_per_epoch(self) -> int | None:
        """Return the number of iterations in an epoch, None outside training."""
        batches = self._trainer.num_training_batches if self._trainer is not None else None
        return int(batches) if batches and batches != float("inf") else None

    @property
    def epoch(self) -> tuple[int, int]:
        """Return the number of completed epochs, and of finished iterations in the present one."""
        return self.place.in_epochs(self.iteration, self.batches_per_epoch)

    def here(self) -> Place:
        """Return the present place in the data; for data that does not describe itself, with the epochs alone."""
        data = self._described_data()
        if data is None:
            return Place(self.iteration, *self.epoch)
        longest, size = going_on.longest(data), data["batch_size"]
        return self.place.at(self.iteration, longest, size, self.batches_per_epoch)

    def _described_data(self) -> dict[str, Any] | None:
        """Return what the data module says of its data, None if it is not one of ours."""
        describe = getattr(getattr(self._trainer, "datamodule", None), "described", None)
        return describe() if describe is not None else None

    def network_description(self) -> dict[str, Any]:
        """Return the information from which another process can rebuild the generator and interpret its samples."""
        shown = next(iter(self.producers().values()), None)
        codes = getattr(shown and shown.network, "codes", None)
        return {
            "format": FORMAT,
            "iteration": self.iteration,
            "images_seen": self.images_seen,
            "batches_per_epoch": self.batches_per_epoch,
            "config": self.config,
            "scores": dict(self.scores),
            "best": dict(self.best),
            "scored_at": self.scored_at,
            "networks": {name: state.describe(network) for name, network in self.networks().items()},
            "judges": self.judges(),
            "codes": codes and codes.plain(),
            "place": going_on.plain(self.here()),
            "data": self._described_data() or self._named_data(),
            "protocol": self.protocol,
        }

    def _named_data(self) -> dict[str, Any]:
        data = getattr(self._trainer, "datamodule", None)
        return {"name": getattr(data, "name", None), "class_names": getattr(data, "class_names", None)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the description to the checkpoint."""
        checkpoint["gan_lightning"] = self.network_description()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Load the counters; raise UserError if the networks or classes differ from those of the checkpoint."""
        if "gan_lightning" not in checkpoint:
            raise UserError("This is no checkpoint of gan-lightning: it lacks the entry 'gan_lightning'.")
        checkpoint.update(upgrade(checkpoint, self._parameter_names()))
        changed = self.changes(checkpoint)
        if changed:
            raise UserError(f"The checkpoint was trained with another architecture: {changed} differ.")
        entry, data = checkpoint["gan_lightning"], self._described_data()
        self.check_classes(entry, data or self._named_data())
        limit = None if self._trainer is None else self._trainer.limit_train_batches
        self._take_up_counters(entry, going_on.place_now(entry, data, limit))
        going_on.go_on_from(checkpoint, self.place.epochs, self.place.batches)
        line = going_on.told(entry, data, self.place)
        if line and self.trainer.is_global_zero:
            print(line, flush=True)

    def check_classes(self, entry: dict[str, Any], data: dict[str, Any]) -> None:
        """Raise UserError if a network has classes, and those of `data` differ from those of a checkpoint's entry.

        data: `described()` of a data module.
        """
        going_on.check_classes(entry, data, self.networks().values())

    def _parameter_names(self) -> list[list[str]]:
        """Return for each optimiser the names of its parameters in the state dict."""
        raise NotImplementedError

    def changes(self, checkpoint: dict[str, Any]) -> str:
        """Return the names of configuration keys and tensors in which the checkpoint's networks differ, or "".

        Players that train other parameters than in the checkpoint, such as more frozen ones, are a difference too.
        """
        tensors = state.changed_tensors(checkpoint["state_dict"], self.state_dict())
        if not tensors and state.same_counts(checkpoint.get("optimizer_states"), self._parameter_names()):
            return ""
        tensors = tensors or ["the parameters that are trained"]
        keys = state.changed_keys(checkpoint["gan_lightning"]["config"], self.config)
        more = f" and {len(tensors) - 3} more" if len(tensors) > 3 else ""
        return ", ".join([*keys, *tensors[:3]]) + more

    def take_over(self, checkpoint: dict[str, Any]) -> None:
        """Load the tensors that fit, and the counters."""
        self.load_state_dict(state.fitting(checkpoint["state_dict"], self.state_dict()), strict=False)
        entry = checkpoint["gan_lightning"]
        self._take_up_counters(entry, going_on.saved_place(entry, None))

    def _take_up_counters(self, entry: dict[str, Any], place: Place) -> None:
        self.iteration, self.images_seen, self.place = entry["iteration"], entry["images_seen"], place
        self.scores, self.best = dict(entry["scores"]), dict(entry["best"])
        self.scored_at = entry.get("scored_at")
