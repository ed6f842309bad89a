"""What a forward keeps in attributes, such as a table for an image size, is put back after it has been evaluated.

A model may compute a table at its first call, keep it, and use it from then on. The table has the dtype of that call,
its graph of gradients, and PyTorch's mark of inference mode. In another evaluation each of these is an error, or worse:
the table of other weights.
"""

from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

STATE = ("_parameters", "_buffers")  # of a module: what is registered there belongs to whoever evaluates
OF_EVERY_MODULE = vars(nn.Module()).keys() - {"_modules"}  # hooks and the like
SIMPLE = frozenset(
    {int, float, bool, str, bytes, type(None), type, torch.dtype, torch.device, torch.Size, torch.Generator}
)


@contextmanager
def keep_attributes(module: nn.Module) -> Iterator[None]:
    """Undo what is assigned to attributes of `module` and its parts, and to lists, dictionaries and sets in them.

    Objects in attributes, and variables that the functions of `forward` share, are followed likewise. The values of
    tensors are not looked at; a parameter or buffer that is registered stays whatever it becomes, and one that is added
    is removed. Outside inference mode, tensors of inference mode that an earlier call has left are replaced by copies
    meanwhile, so that gradients can be computed.
    """
    snapshot = _Snapshot()
    snapshot.add_all([*module.modules(), *(type(part).forward for part in module.modules())])
    try:
        if not torch.is_inference_mode_enabled():
            snapshot.replace_inference_tensors()
        yield
    finally:
        snapshot.put_back()


@dataclass
class _Snapshot:
    """What containers hold: pairs of the container and a copy, by the identity of the container."""

    mappings: dict[int, tuple[MutableMapping[Any, Any], dict[Any, Any]]] = field(default_factory=dict)
    states: dict[int, tuple[MutableMapping[Any, Any], dict[Any, Any]]] = field(default_factory=dict)
    lists: dict[int, tuple[list[Any], list[Any]]] = field(default_factory=dict)
    sets: dict[int, tuple[set[Any], set[Any]]] = field(default_factory=dict)
    cells: dict[int, tuple[CellType, Any]] = field(default_factory=dict)
    copies: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def add_all(self, values: list[Any]) -> None:
        """Add containers and objects, and what they hold."""
        left = list(values)
        while left:
            left += [each for each in self._add(left.pop()) if type(each) not in SIMPLE]

    def _add(self, value: Any) -> Iterable[Any]:
        """Add one, and return what it holds, unless it was added before."""
        inner: list[Any] = []
        if isinstance(value, type | ModuleType | Tensor):
            return inner
        if isinstance(value, dict):
            if id(value) not in self.mappings:
                self.mappings[id(value)] = value, dict(value)
                inner = list(value.values())
        elif isinstance(value, list):
            if id(value) not in self.lists:
                self.lists[id(value)] = value, list(value)
                inner = value
        elif isinstance(value, tuple):
            inner = list(value)
        elif isinstance(value, set):
            self.sets.setdefault(id(value), (value, set(value)))
        elif isinstance(value, FunctionType | MethodType):
            for cell in value.__closure__ or ():
                if id(cell) not in self.cells and (held := _content(cell)) is not _EMPTY:
                    self.cells[id(cell)] = cell, held
                    inner.append(held)
        elif isinstance(value, nn.Module):
            held = vars(value)
            for name in STATE:
                if isinstance(state := held.get(name), dict):
                    self.states.setdefault(id(state), (state, dict(state)))
            if id(held) not in self.mappings:
                self.mappings[id(held)] = held, dict(held)
                inner = [each for name, each in held.items() if name not in OF_EVERY_MODULE]
        elif not type(value).__module__.startswith(("torch.", "builtins")):
            held = getattr(value, "__dict__", None)
            if isinstance(held, dict):
                inner = [held]
        return inner

    def replace_inference_tensors(self) -> None:
        """Put ordinary copies in the place of tensors that were made in inference mode."""
        for mapping, before in (*self.mappings.values(), *self.states.values()):
            for name, value in before.items():
                if _of_inference_mode(value):
                    mapping[name] = self._copy(value)
        for values, items in self.lists.values():
            values[:] = [self._copy(value) if _of_inference_mode(value) else value for value in items]

    def _copy(self, tensor: Tensor) -> Tensor:
        return self.copies.setdefault(id(tensor), (tensor, tensor.clone()))[1]

    def put_back(self) -> None:
        """Give every container what it held."""
        copies = {id(copy): original for original, copy in self.copies.values()}
        for state, registered in self.states.values():
            for name in [name for name in state if name not in registered]:
                del state[name]
            for name, value in state.items():
                state[name] = copies.get(id(value), value)
        for mapping, before in self.mappings.values():
            if len(mapping) != len(before) or any(
                key not in mapping or mapping[key] is not value for key, value in before.items()
            ):
                mapping.clear()
                mapping.update(before)
        for values, items in self.lists.values():
            if len(values) != len(items) or any(one is not other for one, other in zip(values, items, strict=True)):
                values[:] = items
        for members, before_members in self.sets.values():
            if members != before_members:
                members.clear()
                members.update(before_members)
        for cell, content in self.cells.values():
            if _content(cell) is not content:
                cell.cell_contents = content


_EMPTY = object()


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _of_inference_mode(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter) and value.is_inference()
