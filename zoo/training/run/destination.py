"""Where a resumed run stores its weights. `run.json` names a folder, and may have been written by somebody else."""

import os
import shlex
from pathlib import Path

from zoo.contract.errors import UsageError
from zoo.training.run.record import NAME, Record

DEFAULT = "weights"  # the folder of `zoo train` without --output


def weights_folder(run: Path, record: Record, chosen: Path | None) -> Path:
    """The folder that a resumed run stores its weights in: `chosen`, else the recorded one.

    The recorded folder is used without a question where a user expects it: if it is in the current folder, or is the
    folder `weights` beside the folder of runs. Symbolic links are resolved first, except for `./weights` itself.

    Raises:
        UsageError: it is elsewhere, and `chosen` does not confirm it.
    """
    if chosen is not None:
        return relative_to_cwd(chosen)
    if not is_expected(Path(record.weights), run):
        raise UsageError(
            f"The run {run} would store its weights in {record.weights}, as its {NAME} says.",
            f"If that is right, add --output {shlex.quote(record.weights)}; else choose a folder with --output.",
        )
    return relative_to_cwd(Path(record.weights))


def is_expected(folder: Path, run: Path) -> bool:
    """Whether `folder`, absolute, is one that a run in the folder `run` may write to without a question."""
    here = os.path.realpath(Path.cwd())
    beside = os.path.join(os.path.realpath(run.parent.parent), DEFAULT)  # noqa: PTH118
    real = os.path.realpath(folder)
    return (
        os.path.abspath(folder) == os.path.join(Path.cwd(), DEFAULT)  # noqa: PTH100, PTH118
        or Path(real).is_relative_to(here)
        or real == beside
    )


def resume_command(launcher: str, run: Path, weights: Path | None, *, force: bool) -> str:
    """The command that resumes a run, with the flags that must be repeated.

    Args:
        launcher: the command that starts zoo with the same world size.
        weights: the folder of the weights; `None` for the default.
    """
    words = [launcher, "train", "--resume", shlex.quote(str(run))]
    if weights is not None and not is_expected(weights.absolute(), run):
        words += ["--output", shlex.quote(str(weights))]
    return " ".join([*words, *(["--force"] if force else [])])


def relative_to_cwd(path: Path) -> Path:
    """`path`, relative to the current folder if it is in it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
