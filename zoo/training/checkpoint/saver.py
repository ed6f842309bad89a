"""When a checkpoint is written: after each epoch, every so many seconds, and when the run is told to stop."""

import time

from zoo.contract.errors import DataError, OutputError
from zoo.training.checkpoint.file import write_checkpoint
from zoo.training.checkpoint.state import State
from zoo.training.distributed.process_group import is_lost_rank
from zoo.training.run.folder import Run
from zoo.training.signals import Signals
from zoo.training.trainer import Diverged


class Saver:
    """Writes the checkpoints of one run.

    Args:
        run: where they go; `None` on a rank that writes nothing.
        every: seconds between two of them within an epoch.
        saved: the step that the checkpoint in the folder is of; `None` where there is none.
        launcher: how zoo is started to go on.
    """

    def __init__(
        self,
        run: Run | None,
        state: State,
        signals: Signals,
        every: float,
        saved: int | None,
        launcher: str = "zoo",
    ) -> None:
        self.saved = saved
        self._run, self._state, self._signals, self._every = run, state, signals, every
        self._next = time.monotonic() + every
        self._launcher = launcher

    def save_if_due(self) -> None:
        """Write one if the time has come."""
        if time.monotonic() >= self._next:
            self.save()

    def save(self) -> None:
        """Write one now, in the place of the one before.

        Raises:
            Diverged: a value is not finite; the one before is as it was.
            OutputError: it cannot be written; the one before is as it was.
        """
        if self._run is None:
            return
        with self._signals.held():
            if not self._state.finite():
                raise Diverged(min(int(self._state.sound), self._state.step - 1))
            try:
                write_checkpoint(self._run.checkpoint, self._state.tensors(), self._state.facts())
            except OutputError as error:
                kept = "" if self.saved is None else f" The checkpoint of step {self.saved:,} is as it was."
                again = "" if self.saved is None else f", then go on: {self._launcher} train --resume {self._run.path}"
                raise OutputError(error.cause + kept, f"Make room{again}.") from error
            self.saved = self._state.step
            self._next = time.monotonic() + self._every

    def save_at_end(self, error: BaseException) -> None:
        """Write one because `error` ends the run, if what there is now is sound and is more than what is stored."""
        stopped = isinstance(error, DataError) or not isinstance(error, Exception) or is_lost_rank(error)
        if stopped and not self._state.torn and self._state.step > (self.saved or 0) and self._state.finite():
            self.save()
