"""When checkpoints are written: after each epoch, every so many seconds, and when a run is interrupted."""

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
        run: the run folder; `None` on a rank that writes nothing.
        every: seconds between two checkpoints within an epoch.
        saved: the step of the checkpoint in the folder; `None` where there is none.
        resume_command: the command that resumes the run.
    """

    def __init__(
        self,
        run: Run | None,
        state: State,
        signals: Signals,
        every: float,
        saved: int | None,
        resume_command: str,
    ) -> None:
        self.saved = saved
        self._run, self._state, self._signals, self._every = run, state, signals, every
        self._due = time.monotonic() + every
        self._resume_command = resume_command

    def save_if_due(self) -> None:
        """Write a checkpoint if the last one is old enough."""
        if time.monotonic() >= self._due:
            self.save()

    def save(self) -> None:
        """Replace the checkpoint.

        Raises:
            Diverged: a value is not finite; the previous checkpoint is unchanged.
            OutputError: it cannot be written; the previous checkpoint is unchanged.
        """
        if self._run is None:
            return
        with self._signals.deferred():
            if not self._state.is_finite():
                raise Diverged(min(int(self._state.finite_steps), self._state.step - 1))
            try:
                write_checkpoint(self._run.checkpoint, self._state.tensors(), self._state.metadata())
            except OutputError as error:
                if self.saved is None:
                    raise OutputError(error.cause, "Free disk space, then run again.") from error
                raise OutputError(
                    f"{error.cause} The checkpoint of step {self.saved:,} is unchanged.",
                    f"Free disk space, then resume: {self._resume_command}",
                ) from error
            self.saved = self._state.step
            self._due = time.monotonic() + self._every

    def save_at_end(self, error: BaseException) -> None:
        """Write a checkpoint because `error` ends the run, if the state is sound and newer than the last checkpoint."""
        resumable = isinstance(error, DataError) or not isinstance(error, Exception) or is_lost_rank(error)
        state = self._state
        if resumable and not state.mid_step and state.step > (self.saved or 0) and state.is_finite():
            self.save()
