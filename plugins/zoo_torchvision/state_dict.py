"""Load state dicts that torchvision publishes into the modules that are built here, as torchvision itself does."""

import re
from collections import OrderedDict
from collections.abc import Mapping

from torch import Tensor, nn

from zoo.contract.errors import WeightsError

# Modules of the auxiliary heads, which are built for training alone and not by zoo.
AUXILIARY = {"googlenet": ("aux1.", "aux2."), "inception_v3": ("AuxLogits.",)}
# Names in the published files of DenseNets from before a dot in the name of a module was forbidden.
DOTTED = re.compile(r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$")

MNASNET_VERSION = 2


def load_state(name: str, module: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    """Load a state dict that torchvision publishes for the model `name`, as torchvision itself does.

    The tensors of auxiliary heads are left out, and old names of DenseNets are replaced. All others must fit. Modules
    see a state dict of the oldest version, without the versions that the file states: they accept and convert more.

    Args:
        source: what to call the file in an error.

    Raises:
        WeightsError: names or shapes differ from those of the module.
    """
    kept = OrderedDict(state)
    for key in list(kept):
        if key.startswith(AUXILIARY.get(name, ())):
            del kept[key]
        elif name.startswith("densenet") and (match := DOTTED.match(key)):
            kept[match[1] + match[2]] = kept.pop(key)
    if name.startswith("mnasnet"):  # which refuses a state dict without a version; those published now are of version 2
        kept._metadata = OrderedDict({"": {"version": MNASNET_VERSION}})  # type: ignore[attr-defined]
    try:
        module.load_state_dict(kept)
    except (RuntimeError, ValueError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:3]) or str(error)
        raise WeightsError(
            f"{source} does not fit {name} as the installed torchvision builds it: {reason[:500]}",
            "Install the release of torchvision that publishes these weights.",
        ) from None
