"""The card comes back as it was written; one that was changed or is malformed is refused in a sentence."""

import hashlib
import json
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.contract.errors import WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.contract.pretrained import Metric
from zoo.files.card import Card, read_card
from zoo.files.expected_digest import digest_of
from zoo.files.metadata import canonical_digest

CARD = Card(
    architecture="tiny",
    plugin="zoo-kit",
    plugin_version="0.1.0",
    classes=("cat", "dög"),
    preprocess=Preprocess(size=(8, 8), mean=(0.5,), std=(0.25,)),
    params={"width": 2},
    dataset="pets",
    recipe={"epochs": 3},
    metrics=(Metric(name="top1", value=0.5, dataset="pets", split="test", n=10),),
    versions={"python": "3"},
    digest="sha256:0",
)


def store(path: Path, metadata: dict[str, str]) -> Path:
    text = json.dumps({"__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    return path


def sealed(path: Path, data: Any) -> Path:
    """A file whose card is `data`, well sealed, so that its content alone is judged."""
    text = data if isinstance(data, str) else json.dumps(data)
    return store(path, {"zoo": text, "zoo_sha256": hashlib.sha256(text.encode()).hexdigest()})


def test_a_card_comes_back_as_it_was_written(tmp_path: Path) -> None:
    card, header = read_card(store(tmp_path / "a", CARD.to_metadata()))
    assert card == CARD
    assert not header.tensors


FOREIGN = replace(CARD, published=CARD.metrics, source="https://example.org/a.pth", source_sha256="0" * 64)


def test_the_origin_of_weights_comes_back(tmp_path: Path) -> None:
    assert read_card(store(tmp_path / "a", FOREIGN.to_metadata()))[0] == FOREIGN
    assert FOREIGN.card_digest != CARD.card_digest


def test_cards_without_an_origin_stay_as_they_were() -> None:
    assert not {"published", "source", "source_sha256"} & CARD.to_dict().keys()
    assert CARD.card_digest == "sha256:16c00c55931f684542f4a24808f1120971560c81094514ba327071549ac70bd5"


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4), st.floats(0, 1))
def test_any_class_names_and_figures_come_back(tmp_path: Path, classes: list[str], value: float) -> None:
    card = replace(CARD, classes=tuple(classes), metrics=(replace(CARD.metrics[0], value=value),))
    assert read_card(store(tmp_path / "a", card.to_metadata()))[0] == card


def test_a_file_without_a_card_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="without a zoo card"):
        read_card(store(tmp_path / "a", {"format": "pt"}))


def test_a_card_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="format 3"):
        read_card(sealed(tmp_path / "a", {**CARD.to_dict(), "format": 3}))


def test_a_card_of_release_0_1_0_has_no_digest_of_itself(tmp_path: Path) -> None:
    old = {key: value for key, value in CARD.to_dict().items() if key not in ("card_digest", "storage_dtype")}
    card, _ = read_card(sealed(tmp_path / "a", {**old, "format": 1, "stored_as": "bfloat16"}))
    assert card == replace(CARD, format=1, storage_dtype="bfloat16")
    assert (card.card_digest, digest_of(card)) == ("", CARD.digest)
    assert Card.from_dict(card.to_dict()) == card
    assert digest_of(card.with_digest("sha256:1")).startswith("sha256:")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", ["dog", "dög"]),
        ("preprocess", {"size": [8, 8], "mean": [0.5], "std": [0.5], "shorter_side": None, "interpolation": "nearest"}),
        ("metrics", []),
        ("licence", "MIT"),
        ("digest", "sha256:1"),
        ("recipe", {"epochs": 4}),
    ],
)
def test_the_digest_covers_the_whole_card(tmp_path: Path, field: str, value: Any) -> None:
    changed = {**CARD.to_dict(), field: value}
    with pytest.raises(WeightsError, match="its own digest"):
        read_card(sealed(tmp_path / "a", changed))
    changed["card_digest"] = canonical_digest({key: each for key, each in changed.items() if key != "card_digest"})
    card, _ = read_card(sealed(tmp_path / "a", changed))
    assert card.card_digest == changed["card_digest"] != CARD.card_digest


@pytest.mark.parametrize("old, new", [("cat", "dog"), ("0.25", "0.35"), ("tiny", "tint")])
def test_changed_card_is_refused(tmp_path: Path, old: str, new: str) -> None:
    metadata = CARD.to_metadata()
    with pytest.raises(WeightsError, match="not the one"):
        read_card(store(tmp_path / "a", {**metadata, "zoo": metadata["zoo"].replace(old, new)}))
    with pytest.raises(WeightsError, match="not the one"):
        read_card(store(tmp_path / "a", {"zoo": metadata["zoo"]}))


METRIC = {"name": "top1", "value": 0.5, "dataset": "pets", "split": "test", "n": 10}
PREPROCESS = {"size": [8, 8], "mean": [0.5], "std": [0.25], "shorter_side": None, "interpolation": "bilinear"}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("architecture", 7, "card.architecture"),
        ("digest", None, "card.digest"),
        ("classes", [], "card.classes"),
        ("classes", "cat", "card.classes is 'cat'"),
        ("classes", [1, 2], r"card.classes\[0\] is 1"),
        ("classes", ["\ud800"], r"card.classes\[0\]"),
        ("classes", ["n" * 1001], r"card.classes\[0\]"),
        ("params", [], "card.params"),
        ("params", {"a": {"b": 2**64}}, r"card.params\['a'\]\['b'\]"),
        ("metrics", {}, "card.metrics"),
        ("metrics", [{"name": "top1"}], "has no dataset"),
        ("metrics", [{**METRIC, "value": "high"}], "value is 'high'"),
        ("metrics", [{**METRIC, "value": float("nan")}], "NaN"),
        ("metrics", [{**METRIC, "value": 10**400}], "value"),
        ("metrics", [{**METRIC, "n": "many"}], "n is 'many'"),
        ("metrics", [{**METRIC, "n": -1}], "n is -1"),
        ("metrics", [{**METRIC, "split": None}], "split"),
        ("metrics", [{**METRIC, "more": 1}], "more"),
        ("preprocess", None, "card.preprocess"),
        ("preprocess", {**PREPROCESS, "size": [8, 8, 8]}, "size"),
        ("preprocess", {**PREPROCESS, "size": [8, 0]}, "size"),
        ("preprocess", {**PREPROCESS, "size": [65536, 65536]}, "size"),
        ("preprocess", {**PREPROCESS, "size": [2048, 2049]}, "size"),
        ("preprocess", {**PREPROCESS, "mean": [10**400]}, "mean"),
        ("preprocess", {**PREPROCESS, "mean": [0.5] * 10**5}, "mean"),
        ("preprocess", {**PREPROCESS, "std": [0]}, "std positive"),
        ("preprocess", {**PREPROCESS, "shorter_side": 4}, "shorter_side"),
        ("preprocess", {**PREPROCESS, "shorter_side": 5000}, "shorter_side"),
        ("preprocess", {**PREPROCESS, "interpolation": "lanczos"}, "interpolation"),
        ("published", [], "card.published"),
        ("published", [{**METRIC, "n": -1}], "n is -1"),
        ("source", "", "card.source"),
        ("source", 1, "card.source"),
        ("source", None, "card.source"),
        ("source", "a" * 2001, "card.source"),
        ("source_sha256", "0" * 63, "card.source_sha256"),
        ("source_sha256", None, "card.source_sha256"),
        ("more", 1, "more"),
    ],
)
def test_a_malformed_card_is_refused_with_the_field(tmp_path: Path, field: str, value: Any, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        read_card(sealed(tmp_path / "a", {**CARD.to_dict(), field: value}))


@pytest.mark.parametrize(
    "text", ["", "7", "null", "[]", '"zoo"', "{", "[" * 100_000, '{"format": 1}', '{"format": 1e999}']
)
def test_a_card_that_is_no_card_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(WeightsError):
        read_card(sealed(tmp_path / "a", text))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in nested JSON."""
    result = []
    for key in data if isinstance(data, dict) else range(len(data)) if isinstance(data, list) else ():
        result += [(data, key), *places(data[key])]
    return result


@given(st.data())
def test_random_card_is_read_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    """What is read can be written as JSON again: no command that shows it can fail on it."""
    changed = json.loads(json.dumps(FOREIGN.to_dict()))
    container, key = data.draw(st.sampled_from(range(len(places(changed)))).map(lambda n: places(changed)[n]))
    if data.draw(st.booleans()):
        container[key] = data.draw(JSON)
    else:
        del container[key]
    try:
        card, _ = read_card(sealed(tmp_path / "a", changed))
    except WeightsError as error:
        error.cause.encode()
        return
    json.dumps(card.to_dict(), allow_nan=False, ensure_ascii=False).encode()
    assert all(f"{100 * metric.value:.2f}" for metric in card.metrics)
    assert all(isinstance(name, str) for name in card.classes)
    assert card.preprocess.input_shape[0] in (1, 3)


def test_a_card_with_a_figure_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        replace(CARD, metrics=(replace(CARD.metrics[0], value=float("nan")),)).to_metadata()
