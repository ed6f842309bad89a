"""TensorBoard events of a run: the history row of each epoch, and the confusion matrix at the end."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from zoo.contract.errors import MissingPackage
from zoo.files.atomic import explain_write_errors


def require_tensorboard() -> None:
    """Check that the package tensorboard is installed.

    Raises:
        MissingPackage: it cannot be imported.
    """
    try:
        import torch.utils.tensorboard  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            f"--tensorboard needs the package tensorboard, which cannot be imported: {error}.",
            "Run: pip install 'zoo-kit[tensorboard]'",
        ) from None


class Events:
    """The events file of a run. Every method does nothing if it is not enabled."""

    def __init__(self, run: Path, enabled: bool) -> None:
        self._writer = None
        if enabled:
            from torch.utils.tensorboard import SummaryWriter

            with explain_write_errors(run):
                self._writer = SummaryWriter(str(run))

    def epoch(self, number: int, row: Mapping[str, float]) -> None:
        """Write a row of `history.csv`, without its column `epoch`, as scalars at step `number`."""
        if self._writer is None:
            return
        for name, value in row.items():
            if name != "epoch":
                self._writer.add_scalar(name, value, number)
        self._writer.flush()

    def image(self, path: Path, number: int) -> None:
        """Write a PNG file as an image at step `number`, tagged with the stem of its name."""
        if self._writer is None:
            return
        with Image.open(path, formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
        self._writer.add_image(path.stem, pixels, number, dataformats="HWC")

    def close(self) -> None:
        """Flush and close the file."""
        if self._writer is not None:
            self._writer.close()


@contextmanager
def open_events(run: Path, enabled: bool) -> Iterator[Events]:
    """Open the events file of a run, and close it at the end of the block.

    Raises:
        OutputError: the file cannot be written.
    """
    events = Events(run, enabled)
    try:
        yield events
    finally:
        events.close()
