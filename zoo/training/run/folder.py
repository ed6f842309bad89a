"""The folder that a run writes: its recipe and record, its history, its checkpoint, its last epoch's weights."""

import csv
import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from zoo.contract.errors import OutputError, TrainingError
from zoo.files.atomic import explained, new_folder, write_file
from zoo.training.run.lock import Lock
from zoo.training.run.record import NAME, Record


class Run:
    """A run folder, `RUNS/NAME/`, that this process alone writes into until it is released.

    | file | what it is |
    | --- | --- |
    | `recipe.json` | the recipe |
    | `run.json` | the recipe, names, places and versions that the run was begun with |
    | `history.csv` | a row for each epoch |
    | `last.safetensors` | the weights after the last finished epoch |
    | `checkpoint.safetensors` | what `zoo train --resume` goes on from; gone when the run is finished |
    | `result.json` | where the finished weights are |
    """

    def __init__(self, path: Path, lock: Lock) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def start(cls, runs: Path, name: str, record: Record, *, numbered: bool) -> "Run":
        """Make the folder. No two runs ever get the same one.

        Args:
            numbered: where `name` is taken, take `name-2`, `name-3` and so on.

        Raises:
            OutputError: the folder exists, or cannot be made.
        """
        path, number = runs / name, 1
        while True:
            lock = None
            try:
                with new_folder(path) as filling:
                    with explained(path):
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
        """Take hold of a run folder to go on with it.

        Raises:
            TrainingError: another process has hold of it, or the run was finished.
        """
        try:
            run = cls(path, Lock(path / NAME))
        except OSError as error:
            raise TrainingError(
                f"The run {path} cannot be gone on with: {error.strerror}.", "Correct its permissions."
            ) from None
        if run.result.exists():
            run.release()
            raise TrainingError(f"The run {path} was finished; {_made(run.result)}", "There is nothing to resume.")
        return run

    @property
    def locked(self) -> bool:
        """Whether other processes are kept out, as the file system can."""
        return self._lock.real

    @property
    def weights(self) -> Path:
        """The weights file of the last finished epoch."""
        return self.path / "last.safetensors"

    @property
    def checkpoint(self) -> Path:
        """What the run can be gone on with from."""
        return self.path / "checkpoint.safetensors"

    @property
    def result(self) -> Path:
        """What says that the run was finished."""
        return self.path / "result.json"

    def record(self, rows: list[dict[str, Any]]) -> None:
        """Write the finished epochs to `history.csv`."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path / "history.csv", text.getvalue().encode(), force=True)

    def finish(self, weights: Path, digest: str) -> None:
        """Say where the finished weights are, and drop the checkpoint."""
        said = {"weights": str(weights), "digest": digest}
        write_file(self.result, json.dumps(said, indent=2).encode() + b"\n", force=True)
        self.checkpoint.unlink(missing_ok=True)

    def release(self) -> None:
        """Let another process have the folder."""
        self._lock.release()

    def discard(self) -> None:
        """Remove the folder of a run that came to nothing."""
        for path in self.path.iterdir():
            path.unlink()
        self.path.rmdir()
        with suppress(OSError):  # others' runs stay
            self.path.parent.rmdir()


def refuse_taken(path: Path) -> None:
    """Raise `OutputError` where a run folder's name is taken."""
    if os.path.lexists(path):
        raise OutputError(f"The run folder {path} exists already.", "Choose another --name.") from None


def _made(result: Path) -> str:
    try:
        return f"its weights are {json.loads(result.read_bytes())['weights']}."
    except (OSError, ValueError, KeyError, TypeError):
        return "where its weights are is not known."
