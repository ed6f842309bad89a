"""Why torch.export refuses a model, in terms of the model: PyTorch's own first line is often about its internals."""

import re
import traceback

from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from zoo_export.capture.user_code import user_line

FIXED = re.compile(r"specialized it to be a constant \((\d+)\)")
LOCAL = re.compile(r"(?<![\w.])/(?:[^\s/'\"]+/)+")  # the folders of a path of this machine


def refusal(error: BaseException, otherwise: str) -> str:
    """The cause, with the line of the user's model where PyTorch tells it.

    Args:
        otherwise: the cause to report for an error of another kind.
    """
    line = user_line([(frame.filename, frame.lineno or 0) for frame in traceback.extract_tb(error.__traceback__)])
    cause = LOCAL.sub("", _cause(error) or otherwise).rstrip(".")
    return f"{cause}{f' (at {line})' if line else ''}"


def _cause(error: BaseException) -> str:
    if isinstance(error, GuardOnDataDependentSymNode):
        return "what its forward does depends on values computed from the images, in a branch, a loop or a size"
    if "Constraints violated" in str(error):
        fixed = FIXED.search(str(error))
        return f"its forward does not work for every batch size{f', but for {fixed[1]} images alone' if fixed else ''}"
    return ""
