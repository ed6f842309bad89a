"""What a model and a graph of it compute on the way to the logits, and where in the user's code that is."""

import copy
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Interpreter, Node
from torch.fx.node import map_aggregate

from zoo.contract.exporting.artifact import Place
from zoo_export.capture.user_code import user_line
from zoo_export.truth.beside import float64_beside
from zoo_export.truth.reference import EPS32, EVALUATIONS

SAME = 1e-9  # of the largest value: two float64 runs of the same operations are closer than that
FRAME = re.compile(r'File "([^"]+)", line (\d+)')


class Recorder(Interpreter):
    """Run a captured program in `dtype` and keep a copy of every floating-point value, by the name of its node.

    Args:
        weights: used in place of the program's own, by name.
        jitter: moves every value by up to one unit in the last place of float32 at random. Whole numbers, which no
            rounding moves, stay: a model may compare them for equality, to make a mask for one.
    """

    def __init__(
        self,
        program: ExportedProgram,
        dtype: torch.dtype,
        weights: Mapping[str, Tensor] | None = None,
        jitter: torch.Generator | None = None,
    ) -> None:
        super().__init__(program.graph_module)
        self.program, self.dtype, self.jitter = program, dtype, jitter
        self.weights: dict[str, Any] = {**program.constants, **program.state_dict, **(weights or {})}
        self.values: dict[str, Tensor] = {}

    def record(self, images: Tensor) -> dict[str, Tensor]:
        """The values, in the order in which they are made; the first is the images themselves."""
        self.values = {}
        specs = self.program.graph_signature.input_specs
        inputs = [images.clone() if spec.target is None else self.weights[spec.target] for spec in specs]
        with torch.no_grad():
            self.run(*(self._cast(value.clone() if isinstance(value, Tensor) else value) for value in inputs))
        return self.values

    def run_node(self, n: Node) -> Any:
        """Run one node; keep its value, before a later node writes into it."""
        value = super().run_node(n)
        if not isinstance(value, Tensor) or not value.is_floating_point() or n.op == "get_attr":
            return value
        if n.op == "placeholder" and n.name not in self.program.graph_signature.user_inputs:
            return value
        if self.jitter is not None and not torch.equal(value, value.round()):
            value = value * (1 + EPS32 * (2 * torch.rand(value.shape, generator=self.jitter) - 1))
        self.values[n.name] = value.clone()
        return value

    def fetch_args_kwargs_from_env(self, n: Node) -> tuple[Any, Any]:
        """The arguments of a node; where it names float32, it gets the type of this run."""
        args, kwargs = super().fetch_args_kwargs_from_env(n)
        return map_aggregate(args, self._cast), map_aggregate(kwargs, self._cast)

    def _cast(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.dtype == torch.float32:
            return value.to(self.dtype)
        return self.dtype if value is torch.float32 else value


def evaluate(
    program: ExportedProgram, weights: Mapping[str, Tensor], images: Tensor
) -> tuple[dict[str, Tensor], dict[str, float]]:
    """The float64 values of a program, and the rounding error of each: its rounding in float32, as for logits."""
    truths = Recorder(program, torch.float64, weights).record(images)
    rounding_errors = {name: EPS32 * float(truth.abs().max()) for name, truth in truths.items()}
    for seed in range(len(EVALUATIONS)):
        jitter = torch.Generator().manual_seed(seed) if seed else None
        for name, value in Recorder(program, torch.float32, weights, jitter).record(images).items():
            rounding_errors[name] = max(rounding_errors[name], float((value.double() - truths[name]).abs().max()))
    return truths, rounding_errors


def exceeds_tolerance(value: npt.NDArray[np.float32], truth: npt.NDArray[np.float64], tolerance: float) -> bool:
    """Whether a value is further from truth than it may be, or not finite; `False` for a value of another shape."""
    return value.shape == truth.shape and not np.abs(value - truth).max() <= tolerance


def first_wrong_call(program: ExportedProgram, module: nn.Module, images: Tensor) -> Place | None:
    """Where the float64 values of `program` first leave those that `module` receives and gives in eager mode.

    What a module receives is right where a node that it uses computes it. What it gives is right where one of its own
    nodes does, early or late; one that hands none of them on may return its input. Where a tensor was written
    into, or the node is not known, any node up to there will do. An error in code between two modules shows in the
    next input.
    """
    calls = _calls(module, images)
    values = Recorder(program, torch.float64).record(images.double())
    nodes = [node for node in program.graph.nodes if node.op in ("placeholder", "call_function")]
    position = {node: index for index, node in enumerate(nodes)}  # without constants, which no module gives
    written = {arg for node in nodes if _writes(node) for arg in node.all_input_nodes}
    groups: dict[tuple[str, str], list[int]] = {}
    for index, node in enumerate(nodes):
        for key, (path, _) in _stack(node):
            groups.setdefault((path, path + "".join(key.rpartition("@")[1:] if "@" in key else ())), []).append(index)
    events: list[tuple[float, int, Place, Tensor, list[int]]] = []
    for (path, call), indices in groups.items():
        received, made = calls.get(call, (None, None))
        depth, last = -len(path.split(".")) if path else 0, nodes[indices[-1]]
        used = [arg for index in indices for arg in nodes[index].all_input_nodes if arg.name in values]
        feeding = [arg for arg in used if position[arg] < indices[0]]
        if received is not None and feeding:
            where = place(max(feeding, key=lambda node: position[node]))
            among = [position[node] for node in feeding if values[node.name].shape == received.shape]
            if not among or written.intersection(feeding):
                among = list(range(indices[0]))
            events.append((indices[0] - 0.5, depth, where, received, among))
        if made is not None:
            own, inside = [nodes[index] for index in indices], set(indices)
            handed_on = any(position.get(user) not in inside for node in own for user in node.users)
            among = indices if handed_on else list(range(indices[-1] + 1))
            events.append((indices[-1], depth, Place(last.name, path, source_line(last)), made, among))
    for _, _, where, expected, among in sorted(events, key=lambda event: event[:2]):
        names = [nodes[index].name for index in among]
        if not any(_same(values[name], expected) for name in names if name in values):
            return where
    return None


def _writes(node: Node) -> bool:
    """Whether a node writes into one of its inputs."""
    schema = getattr(node.target, "_schema", None)
    return bool(schema and schema.is_mutable)


def place(node: Node) -> Place:
    """Where in the user's model a node of a captured program comes from."""
    paths = [path for _, (path, _) in _stack(node)]
    return Place(node.name, paths[-1] if paths else "", source_line(node))


def source_line(node: Node) -> str:
    """The innermost line outside PyTorch that made `node`, from the package on: `package/file.py:7`."""
    return user_line(FRAME.findall(node.meta.get("stack_trace") or ""))


def _stack(node: Node) -> Iterator[tuple[str, tuple[str, Any]]]:
    """The calls that a node lies in, outermost first; PyTorch marks the second call of a module with `@1`."""
    for key, (path, kind) in (node.meta.get("nn_module_stack") or {}).items():
        if not key.startswith("_empty"):
            yield key, (path.rpartition("@")[0] if "@" in path else path, kind)


def _calls(module: nn.Module, images: Tensor) -> dict[str, tuple[Tensor | None, Tensor | None]]:
    """The input and output of every module call in eager mode, float64; the second call of `a` is `a@1`."""
    twin = copy.deepcopy(module)
    calls: dict[str, tuple[Tensor | None, Tensor | None]] = {}
    inputs: dict[str, list[Tensor | None]] = {}
    counts: Counter[str] = Counter()

    def kept(value: Any) -> Tensor | None:
        return beside.wide(value).clone() if isinstance(value, Tensor) and value.is_floating_point() else None

    def before(path: str, arguments: tuple[Any, ...]) -> None:
        inputs.setdefault(path, []).append(kept(arguments[0] if arguments else None))

    def after(path: str, output: Any) -> None:
        call = f"{path}@{counts[path]}" if counts[path] else path
        counts[path] += 1
        calls[call] = (inputs[path].pop(), kept(output))

    for path, layer in twin.named_modules():
        layer.register_forward_pre_hook(lambda _, arguments, path=path: before(path, arguments))
        layer.register_forward_hook(lambda _, arguments, output, path=path: after(path, output))
    with float64_beside() as beside:  # as some modules cannot be converted to float64
        twin(images.clone())
    return calls


def _same(value: Tensor, expected: Tensor) -> bool:
    if value.shape != expected.shape:
        return False
    return bool((value - expected).abs().max() <= SAME * expected.abs().max()) if value.numel() else True
