"""Whether the runtime that is copied into an export turns photographs as their EXIF orientation says."""

from functools import cache
from pathlib import Path

import zoo_runtime

WARNING = (
    "the model was trained on photographs turned as their EXIF orientation says, and zoo_runtime.py does not turn "
    "them: turn them before you pass them to it"
)


@cache
def runtime_turns_images() -> bool:
    """Whether `zoo_runtime.prepare_image` knows the field `exif_orientation` of the preprocessing."""
    return "exif_orientation" in Path(zoo_runtime.__file__).read_text(encoding="utf-8")
