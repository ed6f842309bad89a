"""What a kind of adversarial ONNX graph is: a function that changes an honest export, registered under its name."""

from collections.abc import Callable
from dataclasses import dataclass

from adversary.forging import Forgery


@dataclass(frozen=True)
class Kind:
    """A kind of forgery.

    Args:
        forge: changes the graph.
        trigger: why no finite sample of images finds it, if none does.
    """

    forge: Callable[[Forgery], None]
    trigger: str = ""


KINDS: dict[str, Kind] = {}
CLASSES = 10


def kind(trigger: str = "") -> Callable[[Callable[[Forgery], None]], Callable[[Forgery], None]]:
    """Register a function under its name."""

    def register(forge: Callable[[Forgery], None]) -> Callable[[Forgery], None]:
        KINDS[forge.__name__] = Kind(forge, trigger)
        return forge

    return register
