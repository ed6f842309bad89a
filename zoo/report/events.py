"""What TensorBoard shows of a run: the figures of each epoch, and at the end the confusion matrix."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.contract.errors import MissingPackage
from zoo.files.atomic import explained


def require_tensorboard() -> None:
    """Import what writes events.

    Raises:
        MissingPackage: it is not installed.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            f"--tensorboard needs the package tensorboard, which cannot be imported: {error}.",
            "Run: pip install 'zoo-kit[tensorboard]'",
        ) from None


class Events:
    """The events file of a run, or nothing at all where none is asked for."""

    def __init__(self, run: Path, wanted: bool) -> None:
        self._writer = None
        if wanted:
            from torch.utils.tensorboard import SummaryWriter

            with explained(run):
                self._writer = SummaryWriter(str(run))

    def epoch(self, number: int, row: Mapping[str, float]) -> None:
        """Write the columns of a row of `history.csv`, other than `epoch`, as scalars at step `number`."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def picture(self, path: Path, number: int) -> None:
        """Write a PNG file as the image of its name, at step `number`."""
        if self._writer is None:
            return
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(path.stem, pixels, number, dataformats="HWC")

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def open_events(run: Path, wanted: bool) -> Iterator[Events]:
    """An `Events` that is closed however the block ends.

    Raises:
        OutputError: the file cannot be written.
    """
    events = Events(run, wanted)
    try:
        yield events
    finally:
        events.close()
