"""How splits are read. Imports no torch, so that `zoo train --help` can show the defaults."""

from collections.abc import Callable
from dataclasses import dataclass

MEMORY_LIMIT = 4.0  # GiB of uint8 images, per split
MOST_WORKERS = 1024  # processes that may be asked for


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """How splits are read. Only `skip_corrupt` changes which images a split has.

    Args:
        workers: processes that read images. `None` uses one per core, 8 at most; or none if the split fits in memory
            and has at most 5000 images.
        memory_limit: GiB of uint8 images; a larger split is streamed.
        cache: store the decoded images on disk for the next time.
        skip_corrupt: leave out images that cannot be read.
        on_progress: called with the split's name, the number of images read and the total.
    """

    workers: int | None = None
    memory_limit: float = MEMORY_LIMIT
    cache: bool = True
    skip_corrupt: bool = False
    on_progress: Callable[[str, int, int], None] = lambda split, done, total: None
