"""The folder that a run writes: its recipe, its history, and the weights of its last finished epoch."""

import csv
import io
import json
from contextlib import suppress
from pathlib import Path

from zoo.atomic import explained, write_file
from zoo.errors import OutputError
from zoo.training.loop import Epoch
from zoo.training.recipe import Recipe


class Run:
    """A run folder, `RUNS/NAME/`, with `recipe.json`, `history.csv` and `last.safetensors`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._history: list[Epoch] = []

    @classmethod
    def start(cls, runs: Path, name: str, recipe: Recipe, *, numbered: bool) -> "Run":
        """Make the folder. No two runs ever get the same one.

        Args:
            numbered: where `name` is taken, take `name-2`, `name-3` and so on.

        Raises:
            OutputError: the folder exists, or cannot be made.
        """
        path, number = runs / name, 1
        while True:
            try:
                with explained(path):
                    runs.mkdir(parents=True, exist_ok=True)
                    path.mkdir()
            except OutputError as error:
                if not isinstance(error.__cause__, FileExistsError):
                    raise
                if not numbered or not runs.is_dir():
                    raise OutputError(f"The run folder {path} exists already.", "Choose another --name.") from None
                number += 1
                path = runs / f"{name}-{number}"
            else:
                break
        run = cls(path)
        try:
            write_file(path / "recipe.json", json.dumps(recipe.to_dict(), indent=2).encode() + b"\n")
        except BaseException:
            run.discard_if_empty()
            raise
        return run

    @property
    def weights(self) -> Path:
        """The weights file of the last finished epoch."""
        return self.path / "last.safetensors"

    def record(self, epoch: Epoch) -> None:
        """Add an epoch to `history.csv`."""
        self._history.append(epoch)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(epoch.row()), lineterminator="\n")
        writer.writeheader()
        writer.writerows(entry.row() for entry in self._history)
        write_file(self.path / "history.csv", text.getvalue().encode(), force=True)

    def discard_if_empty(self) -> None:
        """Remove the folder where no epoch was finished: it would hold nothing that anyone can use."""
        if self._history:
            return
        for path in self.path.iterdir():
            path.unlink()
        self.path.rmdir()
        with suppress(OSError):  # others' runs stay
            self.path.parent.rmdir()
