"""Float64 beside float32: a model sees its float32 tensors, and every operator that it calls is computed in float64.

A module in float64 (`module.double()`) fails, or silently rounds, where forward makes tensors of the dtype float32,
casts to float32, or holds tensors that are no parameters and no buffers. Here nothing of the module is converted.
To each storage of float32 that an operator has written belongs a second one with the same places in float64. So views,
copies by `.data` and values that are written in place find it, and what the model keeps for later is float32 as ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map, tree_unflatten
from torch.utils.weak import WeakIdKeyDictionary

WIDE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
NARROW = {wide: narrow for narrow, wide in WIDE.items()}
# Make numbers that float32 may round, although no tensor goes in; others make zeros, ones and whole numbers.
ROUNDING_FACTORIES = {"linspace", "logspace", "full", "scalar_tensor"}
# Move numbers without computing.
MOVING = {
    *("clone", "_to_copy", "copy_", "lift_fresh", "lift_fresh_copy", "cat", "stack", "index", "index_select", "gather"),
    *("repeat", "constant_pad_nd", "flip", "roll", "new_zeros", "new_ones", "zeros_like", "ones_like", "where"),
    *("masked_fill", "tril", "triu", "new_empty", "empty_like", "fill"),
    *("_reshape_copy", "_unsafe_index", "_unsafe_view"),
}


@contextmanager
def float64_beside() -> Iterator["Float64Beside"]:
    """Evaluate what runs inside in float64, without gradients; oneDNN, which has no float64, is off."""
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False), Float64Beside() as beside:
        yield beside


class RoundingToFloat32(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notices whether a module in float64 computes something in float32 all the same.

    What a model rounds to float16 or bfloat16 does not count: no default has done that, so it is part of the model.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.noticed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not self.noticed and not _only_views(func) and any(each.dtype in WIDE for each in _tensors(result)):
            name = func._schema.name.partition("::")[2]
            sources = {each.dtype for each in _tensors((args, kwargs)) if each.is_floating_point() or each.is_complex()}
            self.noticed = name in ROUNDING_FACTORIES or bool(sources - WIDE.keys() if name in MOVING else sources)
        return result


class Float64Beside(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Computes in float64 what runs in it, without gradients, while every tensor that is seen stays float32.

    Conditions, indices and sizes that depend on values are those of float64. Use `wide` for the float64 result.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._storages: Any = WeakIdKeyDictionary()  # of float32 to the storage of float64 beside it

    def wide(self, tensor: Tensor) -> Tensor:
        """The float64 values of a tensor; of one that no operator has made here, its own values."""
        with _disable_current_modes():
            return self._wide(tensor)

    def _wide(self, tensor: Tensor) -> Tensor:
        if tensor.dtype not in WIDE:
            return tensor
        beside = self._storages.get(tensor.untyped_storage()) if tensor.layout == torch.strided else None
        if beside is None:
            return tensor.detach().to(WIDE[tensor.dtype])
        return _at(tensor, beside)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:
            parts = func.decompose(*args, **kwargs)  # of an operator that may or may not return a view
        if parts is not NotImplemented:
            return parts
        if _only_views(func):
            return func(*args, **kwargs)
        written = _written(func, args, kwargs)
        for tensor in written:
            self._keep(tensor)
        wide_args, wide_kwargs = tree_map(self._widen, (args, kwargs))
        if written and all(tensor.dtype in WIDE for tensor in written):
            with _default(torch.float64):
                func(*wide_args, **wide_kwargs)
            return func(*args, **kwargs)
        if written:  # some of them are not float32, and must not be written twice
            return self._write_wide(func, written, args, kwargs)
        dtypes = _dtypes(func, args, kwargs)
        with _default(torch.float64):
            result = func(*wide_args, **wide_kwargs)
        sources = {each.untyped_storage()._cdata for each in _tensors((wide_args, wide_kwargs)) if _has_storage(each)}
        leaves, structure = tree_flatten(result)
        known = dtypes or [NARROW.get(leaf.dtype, leaf.dtype) if isinstance(leaf, Tensor) else None for leaf in leaves]
        pairs = zip(leaves, known, strict=True)
        return tree_unflatten([self._narrow(leaf, dtype, sources) for leaf, dtype in pairs], structure)

    def _write_wide(self, func: Any, written: list[Tensor], args: Any, kwargs: Any) -> Any:
        """Run an operator in float64 alone, and round what it has written."""
        wide = {id(each): self._widen(each) for each in _tensors((args, kwargs))}
        seen = {id(wide[id(each)]): each for each in written}
        wide_args, wide_kwargs = tree_map(lambda leaf: wide.get(id(leaf), self._widen(leaf)), (args, kwargs))
        with _default(torch.float64):
            result = func(*wide_args, **wide_kwargs)
        for tensor in written:
            if tensor.dtype in WIDE:
                tensor.copy_(self._wide(tensor))
        return tree_map(lambda each: seen.get(id(each), each), result)

    def _widen(self, leaf: Any) -> Any:
        if isinstance(leaf, torch.dtype):
            return WIDE.get(leaf, leaf)
        return self._wide(leaf) if isinstance(leaf, Tensor) else leaf

    def _keep(self, tensor: Tensor) -> None:
        """Give the storage of a tensor one beside it, as it is about to be written."""
        storage = tensor.untyped_storage()
        if tensor.dtype not in WIDE or storage in self._storages:
            return
        places = storage.nbytes() // tensor.element_size()
        flat = torch.empty(0, dtype=tensor.dtype).set_(storage, 0, (places,), (1,))
        beside = _storage(2 * storage.nbytes())
        _at(flat, beside).copy_(flat)
        self._storages[storage] = beside

    def _narrow(self, leaf: Any, dtype: torch.dtype | None, sources: set[int]) -> Any:
        """What the model sees of a float64 result: itself where float32 would have given that, or else rounded.

        Args:
            sources: storages that the result must not share, as the model may write into one of them.
        """
        if not isinstance(leaf, Tensor) or dtype is None or leaf.dtype == dtype:
            return leaf
        leaf = leaf.resolve_conj().resolve_neg()
        narrow = leaf.to(dtype)
        if WIDE.get(dtype) != leaf.dtype or not _has_storage(narrow):
            return narrow
        size, beside = 2 * narrow.untyped_storage().nbytes(), leaf.untyped_storage()
        alike = leaf.stride() == narrow.stride() and leaf.storage_offset() == 0 and beside.nbytes() == size
        if not alike or beside._cdata in sources:
            beside = _storage(size)
            _at(narrow, beside).copy_(leaf)
        self._storages[narrow.untyped_storage()] = beside
        return narrow


def _dtypes(func: Any, args: Any, kwargs: Any) -> list[torch.dtype | None] | None:
    """The dtypes of the results in float32, where float64 of the model's own takes part; `None` where it does not."""
    leaves = tree_flatten((args, kwargs))[0]
    if not any((leaf.dtype if isinstance(leaf, Tensor) else leaf) in NARROW for leaf in leaves if _has_dtype(leaf)):
        return None
    results = tree_flatten(func(*args, **kwargs))[0]
    return [result.dtype if isinstance(result, Tensor) else None for result in results]


def _has_dtype(leaf: Any) -> bool:
    return isinstance(leaf, Tensor | torch.dtype)


def _has_storage(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided


def _storage(size: int) -> torch.UntypedStorage:
    return torch.empty(size, dtype=torch.uint8).untyped_storage()


def _at(tensor: Tensor, storage: torch.UntypedStorage) -> Tensor:
    """What lies in a storage of float64 where `tensor` lies in its own."""
    values = torch.empty(0, dtype=WIDE[tensor.dtype])
    values.set_(storage, tensor.storage_offset(), tensor.size(), tensor.stride())
    values = torch._conj(values) if tensor.is_conj() else values
    return torch._neg_view(values) if tensor.is_neg() else values


def _tensors(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_flatten(values)[0] if isinstance(leaf, Tensor)]


def _written(func: Any, args: Any, kwargs: Any) -> list[Tensor]:
    """The tensors that an operator writes into."""
    values = [
        args[index] if index < len(args) else kwargs.get(argument.name)
        for index, argument in enumerate(func._schema.arguments)
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    return _tensors(values)


@cache
def _only_views(func: Any) -> bool:
    """Whether all that an operator returns is a view of what it received."""
    aliases = [result.alias_info for result in func._schema.returns]
    return bool(aliases) and all(alias is not None and not alias.is_write for alias in aliases)


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
