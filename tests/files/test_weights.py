"""Weights come back bit for bit, or the file is refused in a sentence; nothing is ever unpickled."""

import json
import math
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from zoo.contract.errors import OutputError, WeightsError
from zoo.contract.pretrained import Metric
from zoo.files.card import Card
from zoo.files.weights import Weights, load_into, load_weights, save_weights, tensors_digest

DTYPES = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
FLOATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = draw(st.sampled_from(DTYPES + FLOATS))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    made = torch.randint(-100, 100, shape, generator=generator)
    return (made / 7).to(dtype) if dtype in FLOATS else made.to(dtype)


def same(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), tensors(), max_size=5))
def test_tensors_of_every_shape_and_dtype_come_back_bit_for_bit(tmp_path: Path, card: Card, given: Any) -> None:
    given.pop("__metadata__", None)
    path = tmp_path / "a.safetensors"
    written = save_weights(path, given, card, force=True)
    loaded = load_weights(path)
    assert loaded.card == written
    assert loaded.tensors.keys() == given.keys()
    assert all(same(loaded.tensors[name], given[name]) for name in given)


def test_views_and_shared_tensors_are_stored_whole(tmp_path: Path, card: Card) -> None:
    whole = torch.arange(12.0).reshape(3, 4)
    given = {"turned": whole.T, "row": whole[1], "same": whole, "grad": nn.Parameter(whole)}
    save_weights(tmp_path / "a.safetensors", given, card)
    loaded = load_weights(tmp_path / "a.safetensors").tensors
    assert all(torch.equal(loaded[name], given[name]) for name in given)


def test_digest_depends_on_all_but_the_order() -> None:
    a, b = torch.ones(2), torch.zeros(3)
    assert tensors_digest({"a": a, "b": b}) == tensors_digest({"b": b, "a": a})
    others = [{"a": b, "b": a}, {"a": a}, {"a": a, "b": b.double()}, {"a": a, "b": b[:, None]}, {"a": a * 2, "b": b}]
    assert len({tensors_digest(other) for other in others}) == len(others)


@pytest.fixture
def path(tmp_path: Path, card: Card) -> Path:
    """A small weights file."""
    path = tmp_path / "tiny.cats.safetensors"
    figure = Metric(name="top1", value=0.5, dataset="cats", split="test", n=10)
    save_weights(path, {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}, replace(card, metrics=(figure,)))
    return path


def test_every_truncation_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for end in [*range(24), *range(24, len(whole) - 60, 37), *range(len(whole) - 60, len(whole))]:
        path.write_bytes(whole[:end])
        with pytest.raises(WeightsError):
            load_weights(path)
    path.write_bytes(whole + b"\x00")
    with pytest.raises(WeightsError):
        load_weights(path)


@settings(max_examples=300)
@given(st.data())
def test_one_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path, card: Card, data: st.DataObject) -> None:
    """Wherever it lies: in the length, the card, the offsets or the tensors."""
    path = tmp_path / "a.safetensors"
    save_weights(path, {"w": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}, card, force=True)
    before, content = load_weights(path), bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        after = load_weights(path)
    except WeightsError:
        return
    assert after.card == before.card
    assert after.tensors.keys() == before.tensors.keys()
    assert all(same(after.tensors[name], before.tensors[name]) for name in before.tensors)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", FLOATS)
def test_a_value_that_is_not_finite_is_neither_written_nor_read(
    tmp_path: Path, card: Card, bad: float, dtype: torch.dtype
) -> None:
    path, tensors = tmp_path / "a.safetensors", {"w": torch.tensor([1.0, bad, 2.0], dtype=dtype)}
    with pytest.raises(WeightsError, match="tensor w has 1 of 3 values"):
        save_weights(path, tensors, card)
    assert not path.exists()
    sealed = card.with_digest(tensors_digest(tensors))
    safetensors.torch.save_file(tensors, path, sealed.to_metadata())
    with pytest.raises(WeightsError, match="not finite"):
        load_weights(path)


def test_a_figure_that_is_not_finite_is_not_written(tmp_path: Path, card: Card) -> None:
    figure = Metric(name="loss", value=math.nan, dataset="cats", split="test", n=10)
    with pytest.raises(WeightsError, match="not finite"):
        save_weights(tmp_path / "a.safetensors", {"w": torch.ones(1)}, replace(card, metrics=(figure,)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.float8_e4m3fn])
def test_a_dtype_that_no_weights_file_holds_is_named(tmp_path: Path, card: Card, dtype: torch.dtype) -> None:
    with pytest.raises(WeightsError, match=f"tensor w .*{dtype}"):
        save_weights(tmp_path / "a.safetensors", {"w": torch.ones(1).to(dtype)}, card)


@pytest.mark.parametrize("legacy", [True, False])
def test_pickle_is_refused_without_loading(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "a.safetensors"
    torch.save({"w": torch.ones(3)}, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsError, match="pickle"):
        load_weights(path)


def test_a_digest_that_is_another_files_is_refused(tmp_path: Path, card: Card) -> None:
    path = tmp_path / "a.safetensors"
    wrong = card.with_digest(tensors_digest({"w": torch.zeros(2)}))
    safetensors.torch.save_file({"w": torch.ones(2)}, path, wrong.to_metadata())
    with pytest.raises(WeightsError, match="digest"):
        load_weights(path)


def test_file_that_safetensors_refuses_is_refused(path: Path, card: Card) -> None:
    text = json.dumps({"__metadata__": card.with_digest("x").to_metadata(), "w": {}}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(WeightsError):
        load_weights(path)


def test_an_existing_file_is_kept_unless_force_is_said(path: Path, card: Card) -> None:
    before = path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        save_weights(path, {"w": torch.zeros(1)}, card)
    assert path.read_bytes() == before
    save_weights(path, {"w": torch.zeros(1)}, card, force=True)
    assert load_weights(path).tensors.keys() == {"w"}


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))


def load(card: Card, tensors: dict[str, Tensor], into: nn.Module) -> None:
    load_into(into, Weights(card, tensors), Path("tiny.cats.safetensors"))


def test_weights_that_fit_are_put_in_whole(card: Card) -> None:
    source, target = model(), model()
    source[1].running_mean.fill_(7)  # type: ignore[union-attr, operator]
    load(card, dict(source.state_dict()), target)
    assert all(torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items())


def test_mismatched_tensors_are_named_and_not_loaded(card: Card) -> None:
    target = model()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    tensors = {name: torch.zeros_like(value) for name, value in before.items()}
    del tensors["1.bias"], tensors["1.weight"]
    tensors["extra"] = torch.zeros(1)
    tensors["0.weight"] = torch.zeros(3, 3)
    tensors["0.bias"] = tensors["0.bias"].half()
    with pytest.raises(WeightsError) as caught:
        load(card, tensors, target)
    assert all(name in caught.value.cause for name in ("1.weight", "extra", "0.weight (3, 3)", "(3, 2)"))
    assert "zoo-kit 0.1.0" in caught.value.next_step
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize("name", ["", " ", "0", "0.weight.", "\\"])
def test_a_further_tensor_of_any_name_is_refused(card: Card, name: str) -> None:
    with pytest.raises(WeightsError, match="is not in the model"):
        load(card, {**model().state_dict(), name: torch.zeros(1)}, model())


def test_a_wrong_dtype_is_not_converted_silently(card: Card) -> None:
    target = model()
    tensors = {
        name: value.double() if value.is_floating_point() else value for name, value in model().state_dict().items()
    }
    with pytest.raises(WeightsError, match=r"torch\.float64"):
        load(card, tensors, target)


class Versioned(nn.Module):
    """A module that refuses a state dict without its version, as torchvision's MNASNet does."""

    _version = 2

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2))

    def _load_from_state_dict(self, state: Any, prefix: str, metadata: dict[str, Any], *more: Any) -> None:
        if metadata.get("version") not in (1, 2):
            raise ValueError("no version")
        super()._load_from_state_dict(state, prefix, metadata, *more)


def test_a_module_that_asks_for_its_version_is_loaded(card: Card) -> None:
    module = Versioned()
    load_into(module, Weights(card, {"weight": torch.ones(2)}), Path("x"))
    assert module.weight.tolist() == [1, 1]
