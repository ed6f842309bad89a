"""The folder of a run: its recipe and record, its history, its checkpoint, the weights of its last epoch."""

import csv
import io
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.contract.errors import OutputError, TrainingError
from zoo.files.atomic import explain_write_errors, new_folder, write_file
from zoo.files.regular import read_regular
from zoo.training.run.lock import Lock
from zoo.training.run.record import NAME, Record

MAX_RESULT = 2**20  # bytes


class Run:
    """A run folder, `RUNS/NAME/`. Only this process writes into it until it is released.

    | file | content |
    | --- | --- |
    | `recipe.json` | the recipe |
    | `run.json` | the recipe, data set, folders and versions that the run was started with |
    | `history.csv` | a row for each epoch |
    | `last.safetensors` | the weights after the last finished epoch |
    | `checkpoint.safetensors` | what `zoo train --resume` continues from; removed when the run is finished |
    | `result.json` | path and digest of the resulting weights file |
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def start(cls, runs: Path, name: str, record: Record, *, numbered: bool) -> "Run":
        """Make a new run folder. Two runs never get the same one.

        Args:
            numbered: where `name` exists, use `name-2`, `name-3` and so on.

        Raises:
            OutputError: the folder exists, or cannot be made.
        """
        path, number = runs / name, 1
        while True:
            lock = None
            try:
                with new_folder(path) as filling:
                    with explain_write_errors(path):
                        (filling / NAME).write_bytes(record.to_json())
                        recipe = json.dumps(record.recipe.to_dict(), indent=2)
                        (filling / "recipe.json").write_bytes(recipe.encode() + b"\n")
                    lock = Lock(filling / NAME)
                return cls(path, lock)
            except OutputError:
                if lock is not None:
                    lock.release()
                if not os.path.lexists(path):
                    raise
                if not numbered or not runs.is_dir():
                    refuse_taken(path)
                number += 1
                path = runs / f"{name}-{number}"

    @classmethod
    def reopen(cls, path: Path) -> "Run":
        """Lock a run folder in order to resume the run.

        Raises:
            TrainingError: another process has locked it, or the run is finished.
        """
        try:
            run = cls(path, Lock(path / NAME))
        except OSError as error:
            raise TrainingError(
                f"The run {path} cannot be resumed: {error.strerror}.", "Correct the permissions of its files."
            ) from None
        if run.result.exists():
            run.release()
            raise TrainingError(
                f"The run {path} is finished: {_result(run.result)}", "Train it for N more epochs with `--extend N`."
            )
        return run

    @property
    def is_locked(self) -> bool:
        """Whether other processes are kept out; `False` on a file system without locks."""
        return self._lock.is_effective

    @property
    def weights(self) -> Path:
        """The weights file of the last finished epoch."""
        return self.path / "last.safetensors"

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that the run can be resumed from."""
        return self.path / "checkpoint.safetensors"

    @property
    def result(self) -> Path:
        """The file that marks the run as finished."""
        return self.path / "result.json"

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Write the finished epochs, a row each, to `history.csv`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(history[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(history)
        write_file(self.path / "history.csv", text.getvalue().encode(), force=True)

    def finish(self, weights: Path, digest: str) -> None:
        """Write the path and digest of the resulting weights, and remove the checkpoint."""
        content = {"weights": str(weights), "digest": digest}
        write_file(self.result, json.dumps(content, indent=2).encode() + b"\n", force=True)
        self.checkpoint.unlink(missing_ok=True)

    def release(self) -> None:
        """Unlock the folder."""
        self._lock.release()

    def discard(self) -> None:
        """Remove the folder of a run that stored nothing.

        It gets a hidden name first: another run that starts under this name must not find it half removed.
        """
        hidden = self.path.with_name(f".{self.path.name}.discarded.{os.getpid()}.partial")
        with suppress(OSError):  # somebody moved or removed it; what ended the run matters more
            self.path.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
        with suppress(OSError):  # other runs are in it
            self.path.parent.rmdir()


def refuse_taken(path: Path) -> None:
    """Raise `OutputError` where a run folder exists."""
    if os.path.lexists(path):
        raise OutputError(f"The run folder {path} already exists.", "Choose another --name.") from None


def _result(result: Path) -> str:
    try:
        return f"its weights are in {json.loads(read_regular(result, MAX_RESULT))['weights']}."
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "the path of its weights is not known."
