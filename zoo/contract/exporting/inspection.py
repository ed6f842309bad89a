"""What a format can tell of an artifact without running it: what the files claim, and how the graph is built.

Both are optional refs of `ExportFormat`. They read files of any origin, so they must run nothing that is in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.contract.evidence.manifest import TensorSpec
from zoo.contract.exporting.artifact import Array


@dataclass(frozen=True)
class Claims:
    """What an artifact says of itself; `None` for what it does not say.

    Args:
        inputs, outputs: names, dtypes and shapes; a size that is not fixed is a name.
        labels: the class names, in the order of the logits.
        preprocess: as `Preprocess.to_dict` writes it.
        missing: what files of the format can state and this one does not, such as "labels".
    """

    inputs: tuple[TensorSpec, ...] | None = None
    outputs: tuple[TensorSpec, ...] | None = None
    labels: tuple[str, ...] | None = None
    preprocess: Mapping[str, Any] | None = None
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Structure:
    """How the graph of an artifact is built. Two artifacts with equal `graph` and `values` compute the same.

    Args:
        graph: a digest of operators, attributes, connections, and the shapes and dtypes of tensors. Names, order and
            what does not reach an output must not change it.
        values: a digest of the same with the values of the tensors; `""` if they are not compared so.
        tensors: the tensors in an order that is the same for equal `graph`; empty if the format cannot tell.
        operators: how often each operator occurs.
        random: the operators that draw random numbers, or that compute as in training, in a few words each.
        conditional: how often each operator occurs that chooses by the values or shapes of tensors, such as a branch.
        input_readers: how many operators read the input itself; `None` if unknown.
    """

    graph: str
    values: str = ""
    tensors: Sequence[Array] = ()
    operators: Mapping[str, int] = field(default_factory=dict)
    random: tuple[str, ...] = ()
    conditional: Mapping[str, int] = field(default_factory=dict)
    input_readers: int | None = None
