"""Run a model's own code: its errors are explained, and what it returns is checked."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from zoo.contract.errors import PluginError, ZooError, refuse_lost_worker
from zoo.contract.wording.author_code import SHOW_TRACEBACK, describe_error
from zoo.models.devices import explain_out_of_memory


@contextmanager
def explain_model_errors(
    device: torch.device, what: str = "The model", kind: type[ZooError] = PluginError
) -> Iterator[None]:
    """Turn what a model's own code raises into an error with a next step.

    Args:
        what: the subject of that error.
        kind: of that error, where no plugin provides the model.

    Raises:
        DeviceError: there was not enough memory.
        PluginError, or `kind`: it raised any other error.
    """
    try:
        with explain_out_of_memory(device):
            yield
    except ZooError:
        raise
    except (Exception, SystemExit) as error:
        refuse_lost_worker(error)
        raise kind(
            f"{what} raised {describe_error(error)}",
            f"Check that the model takes images of this size, or correct its code; {SHOW_TRACEBACK}",
        ) from error


def check_logits(logits: object, n: int, num_classes: int) -> Tensor:
    """`logits`, if they are float `[N, K]`.

    Raises:
        PluginError: they are not.
    """
    if isinstance(logits, Tensor) and tuple(logits.shape) == (n, num_classes) and logits.is_floating_point():
        return logits
    what = (
        f"a tensor {tuple(logits.shape)} of {logits.dtype}"
        if isinstance(logits, Tensor)
        else f"a {type(logits).__name__}"
    )
    raise PluginError(
        f"The model returned {what} instead of logits ({n}, {num_classes}).",
        "Correct its forward: it takes images [N, C, H, W] and returns logits [N, num_classes].",
    )
