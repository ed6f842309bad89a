"""What `Architecture.fetch` returns, and what it raises where the weights would have to be downloaded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from zoo.contract.errors import DownloadNeeded
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained.metric import Metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class PretrainedWeights:
    """Weights of an architecture, with all that is needed to use them.

    Args:
        tensors: the state dict of the module that `build(num_classes=len(classes), in_channels=preprocess.channels,
            **params)` returns: the same names, shapes and dtypes, on the CPU.
        classes: class names, in the order of the logits.
        preprocess: how images are prepared for these weights.
        params: parameters of the architecture that these weights need, of those that its spec declares.
        published: metrics as the authors state them. They were not measured by zoo.
        licence: of the weights; empty if it is not known.
        source: where they came from: the URL, the identifier on a hub, or the name of the file.
        file_sha256: SHA-256 of the file that was read, as 64 hex digits; empty if there was no single file.
    """

    tensors: Mapping[str, "Tensor"]
    classes: tuple[str, ...]
    preprocess: Preprocess
    source: str
    file_sha256: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    published: tuple[Metric, ...] = ()
    licence: str = ""


def download_needed(name: str, source: str, size: str = "") -> DownloadNeeded:
    """The error that `fetch` raises where the weights `name` are not on this machine and `download` is false.

    Args:
        name: `ARCH.TAG`.
        source: where they would be downloaded from.
        size: of the download, such as `98 MB`; empty if it is not known.
    """
    return DownloadNeeded(
        f"The weights {name} are not on this machine.",
        f"Add --download to get them from {source}{size and f' ({size})'}.",
    )
