"""Read the state dicts that torchvision publishes, and bring them into the form of the modules that are built here."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from typing import IO

import torch
from torch import Tensor, nn

from zoo.contract.errors import WeightsError, refuse_out_of_memory

# Modules of the auxiliary heads, which are built for training alone and not by zoo.
AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
# Names in the published files of DenseNets from before a dot in the name of a module was forbidden.
DOTTED = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$")


def read_state_dict(file: IO[bytes], source: str) -> Mapping[str, Tensor]:
    """The state dict in a `.pth` file, on the CPU.

    PyTorch's weights-only unpickler reads it, which makes tensors and containers and runs no code of the file.

    Raises:
        WeightsError: it holds anything else than a state dict.
    """
    again = "Delete the file if it is yours, and get it again from torchvision."
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged files and forbidden objects raise many types
        refuse_out_of_memory(error)
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise WeightsError(f"{source} is no file of weights: {reason}", again) from None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(f"{source} holds something else than a state dict.", again)
    return state


def load_state(name: str, module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict that torchvision publishes for the model `name`, as torchvision itself does.

    The tensors of auxiliary heads are left out, and old names of DenseNets are replaced. All others must fit.

    Raises:
        WeightsError: names or shapes differ from those of the module.
    """
    kept = OrderedDict(state)
    for key in list(kept):
        if key.startswith(AUXILIARY.get(name, ())):
            del kept[key]
        elif name.startswith("densenet") and (match := DOTTED.match(key)):
            kept[match[1] + match[2]] = kept.pop(key)
    if (versions := getattr(state, "_metadata", None)) is not None:  # of the modules, which some of them look at
        kept._metadata = versions  # type: ignore[attr-defined]
    try:
        module.load_state_dict(kept)
    except (RuntimeError, ValueError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:3]) or str(error)
        raise WeightsError(
            f"{source} does not fit {name} as the installed torchvision builds it: {reason[:500]}",
            "Install the release of torchvision that publishes these weights.",
        ) from None
