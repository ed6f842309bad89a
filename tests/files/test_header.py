"""A header that lies is refused in one clear sentence, without a tensor being read and without torch."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.contract.errors import WeightsError
from zoo.files.header import ITEM_SIZE, digest, file_digest, read_header


def write(path: Path, header: Any, body: bytes = b"", *, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    return path


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.b.safetensors"


def test_a_sound_header_is_read_with_its_tensors_and_metadata(path: Path) -> None:
    header = read_header(
        write(path, {"__metadata__": {"k": "v"}, "w": entry(), "e": entry("U8", (0,), (8, 8))}, b"12345678")
    )
    assert dict(header.metadata) == {"k": "v"}
    assert header.tensors["w"].shape == (2,)
    assert path.read_bytes()[header.tensors["w"].begin : header.tensors["w"].end] == b"12345678"
    assert header.tensors["e"].begin == header.tensors["e"].end


LIES: dict[str, tuple[Any, bytes, str]] = {
    "overlap": ({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12), "overlaps another tensor or leaves a gap"),
    "same place": ({"a": entry(), "b": entry()}, bytes(8), "overlaps"),
    "gap": ({"a": entry(), "b": entry(offsets=(9, 17))}, bytes(17), "leaves a gap"),
    "gap in front": ({"a": entry(offsets=(1, 9))}, bytes(9), "leaves a gap"),
    "beyond the end": ({"a": entry()}, bytes(7), "describes"),
    "bytes left over": ({"a": entry()}, bytes(9), "describes"),
    "unknown dtype": ({"a": entry("F33")}, bytes(8), "'F33'"),
    "dtype no text": ({"a": entry(["F32"])}, bytes(8), "malformed"),
    "shape too large": ({"a": entry(shape=(3,))}, bytes(8), "does not match its shape"),
    "shape too small": ({"a": entry(shape=(1,))}, bytes(8), "does not match its shape"),
    "negative shape": ({"a": entry(shape=(-2,))}, bytes(8), "-2"),
    "two negatives": ({"a": entry(shape=(-1, -2))}, bytes(8), "-1"),
    "fraction": ({"a": entry(shape=(2.0,))}, bytes(8), "2.0"),
    "true": ({"a": entry("U8", (True,), (0, 1))}, bytes(1), "True"),
    "negative offset": ({"a": entry(offsets=(-8, 0))}, bytes(8), "-8"),
    "end before begin": ({"a": entry(offsets=(8, 0))}, bytes(8), "does not match its shape"),
    "huge shape": ({"a": entry(shape=(2**62, 2**62))}, bytes(8), "does not match its shape"),
    "huge offset": ({"a": entry("U8", (10**30,), (0, 10**30))}, bytes(8), "bits"),
    "three offsets": ({"a": entry(offsets=(0, 4, 8))}, bytes(8), "malformed"),
    "no offsets": ({"a": {"dtype": "F32", "shape": [2]}}, bytes(8), "data_offsets"),
    "text shape": ({"a": entry(shape="2")}, bytes(8), "shape"),
    "tensor no object": ({"a": 7}, b"", "malformed"),
    "a list": ([1, 2], b"", "not an object"),
    "a number": (7, b"", "not an object"),
    "null": (None, b"", "not an object"),
    "metadata no object": ({"__metadata__": "x"}, b"", "__metadata__"),
    "metadata no text": ({"__metadata__": {"a": 1}}, b"", "__metadata__"),
    "no JSON": (b"{]", b"", "malformed"),
    "no UTF-8": (b'{"\xff": 1}', b"", "malformed"),
    "a key twice": (b'{"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"a":7}', b"1", "'a' twice"),
    "a further key": ({"a": {**entry(), "more": 1}}, bytes(8), "more"),
    "deep": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b"", "malformed"),
    "deep lists": (b"[" * 200_000, b"", "malformed"),
    "10,000 digits": (b'{"a":{"dtype":"F32","shape":[' + b"9" * 10_000 + b'],"data_offsets":[0,8]}}', bytes(8), "malf"),
    "half a character": (b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', bytes(2), "malformed"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_header_that_lies_is_refused_with_what_is_wrong(path: Path, lie: str) -> None:
    header, body, message = LIES[lie]
    with pytest.raises(WeightsError, match=message) as caught:
        read_header(write(path, header, body))
    assert str(path) in caught.value.cause
    caught.value.cause.encode()  # it can be shown


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**63, 2**64 - 1, 100_000_001])
def test_false_header_length_allocates_nothing(path: Path, length: int) -> None:
    with pytest.raises(WeightsError):
        read_header(write(path, {"a": entry()}, bytes(8), length=length))


def test_a_length_that_reaches_into_the_tensors_is_refused(path: Path) -> None:
    with pytest.raises(WeightsError, match="malformed"):
        read_header(write(path, {"a": entry()}, b"\x01" * 8, length=len(json.dumps({"a": entry()})) + 4))


def test_every_truncation_is_refused(path: Path) -> None:
    whole = write(path, {"__metadata__": {"k": "v"}, "w": entry()}, b"12345678").read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(WeightsError, match="is refused"):
            read_header(path)


def test_an_empty_file_is_said_to_be_empty(path: Path) -> None:
    path.touch()
    with pytest.raises(WeightsError, match="it is empty"):
        read_header(path)


def test_a_missing_file_and_a_folder_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="There is no file"):
        read_header(tmp_path / "none.safetensors")
    with pytest.raises(WeightsError, match="could not be read"):
        read_header(tmp_path)


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95"])
def test_a_pickle_is_named_as_one(path: Path, start: bytes) -> None:
    path.write_bytes(start + b"\xff" * 100)
    with pytest.raises(WeightsError, match="is a pickle file"):
        read_header(path)


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_header_length_that_looks_like_a_pickle(path: Path, length: int) -> None:
    """640, 896, 1152 and 1408 bytes are ordinary lengths of a header with a card."""
    fill = length - len(json.dumps({"__metadata__": {"k": ""}}))
    assert read_header(write(path, {"__metadata__": {"k": "x" * fill}})).metadata["k"] == "x" * fill


@given(st.binary(max_size=300))
def test_no_bytes_whatever_give_another_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.safetensors"
    path.write_bytes(content)
    with pytest.raises(WeightsError):
        read_header(path)
    write(path, content)
    with pytest.raises(WeightsError):
        read_header(path)


NUMBERS = st.integers(-3, 20) | st.integers() | st.floats() | st.none() | st.booleans() | st.text(max_size=3)
ENTRIES = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*ITEM_SIZE]) | NUMBERS,
        "shape": st.lists(NUMBERS, max_size=3) | NUMBERS,
        "data_offsets": st.lists(NUMBERS, min_size=1, max_size=3) | NUMBERS,
    }
)


@given(st.dictionaries(st.text(max_size=5), ENTRIES | NUMBERS, max_size=3), st.integers(0, 40))
def test_any_json_is_read_soundly_or_refused(tmp_path: Path, header: dict[str, Any], size: int) -> None:
    path = write(tmp_path / "any.safetensors", header, bytes(size))
    try:
        result = read_header(path)
    except WeightsError:
        return
    ends = [info.end - info.begin for info in result.tensors.values()]
    assert sum(ends) == size


def test_digest_is_independent_of_the_file_layout(tmp_path: Path) -> None:
    a, b = entry("U8", (2,), (0, 2)), entry("U8", (3,), (2, 5))
    one = write(tmp_path / "one", {"a": a, "b": b, "__metadata__": {"x": "y"}}, b"AABBB")
    other = write(tmp_path / "two", {"b": entry("U8", (3,), (0, 3)), "a": entry("U8", (2,), (3, 5))}, b"BBBAA")
    assert file_digest(one, read_header(one)) == file_digest(other, read_header(other))


@pytest.mark.parametrize(
    "other",
    [
        [("b", "U8", (2,), b"12")],
        [("a", "I8", (2,), b"12")],
        [("a", "U8", (2, 1), b"12")],
        [("a", "U8", (2,), b"13")],
        [],
    ],
)
def test_the_digest_names_name_dtype_shape_and_bytes(other: list[Any]) -> None:
    assert digest([("a", "U8", (2,), b"12")]) != digest(other)
    assert len(digest(other)) == len("sha256:") + 64
