"""The epochs of a training run as a table: one header, then a row for each epoch."""

from zoo.contract.callback import EpochResult

LOSS, TOP1, RATE, LEFT = 10, 8, 9, 12  # columns of a terminal


class EpochTable:
    """Formats the rows of the table; together with the header, they are at most 60 columns wide.

    Args:
        epochs: of the whole run, or 0 if that is not known.
        time_left: whether a column estimates the time left; where a progress bar shows it, it is not repeated.
    """

    def __init__(self, epochs: int = 0, *, time_left: bool = True) -> None:
        self._epochs, self._time_left = epochs, time_left
        self._has_header = False

    def lines(self, epoch: EpochResult) -> list[str]:
        """The row of an epoch, after the header if it is the first row."""
        number = f"{epoch.number}/{self._epochs}" if self._epochs else str(epoch.number)
        width = max(len("epoch"), 2 * len(str(self._epochs)) + 1)
        loss = "test loss" if epoch.split == "test" else "hold-out"  # its loss: the column after the training loss
        row = [
            f"{number:>{width}}",
            f"{epoch.train_loss:{LOSS}.4f}",
            f"{epoch.evaluation.loss:{LOSS}.4f}",
            f"{100 * epoch.evaluation.top1:{TOP1 - 2}.2f} %",
            f"{epoch.images_per_second:{RATE},.0f}",
        ]
        header = [f"{'epoch':>{width}}", "train loss", f"{loss:>{LOSS}}", f"{'top-1':>{TOP1}}", f"{'images/s':>{RATE}}"]
        if self._time_left:
            row.append(f"{duration(epoch.seconds_left):>{LEFT}}" if epoch.number != self._epochs else "")
            header.append(f"{'time left':>{LEFT}}")
        first = [] if self._has_header else [header]
        self._has_header = True
        return ["  ".join(cells).rstrip() for cells in (*first, row)]


def duration(seconds: float) -> str:
    """A span of time in its two largest units: `42 s`, `3 min 5 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"
