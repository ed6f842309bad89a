"""A malformed declaration is refused where it is made, with a sentence that names the field."""

import string
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo import Architecture, Command, Dataset, ExportFormat, Loss, Param
from zoo.contract.specs import Spec

LOWER = string.ascii_lowercase + string.digits


def make(kind: type[Spec] = Architecture, **changed: Any) -> Any:
    fields: dict[Any, dict[str, Any]] = {
        Architecture: {"build": "a.b:c", "input_shape": (3, 8, 8)},
        Loss: {"build": "a.b:c"},
        Dataset: {"load": "a.b:c"},
        ExportFormat: {"export": "a:b", "runner": "a:b", "suffix": ".onnx"},
        Command: {"run": "a:b"},
    }
    return kind(**{"name": "tiny", "summary": "Small", **fields[kind], **changed})


KINDS = [Architecture, Loss, Dataset, ExportFormat, Command]


@given(st.text(LOWER + "_", min_size=1).filter(lambda name: name[0] != "_"), st.sampled_from(KINDS))
def test_valid_names_are_accepted(name: str, kind: type[Spec]) -> None:
    assert make(kind, name=name).name == name


@given(
    st.text().filter(lambda name: not name or set(name) - set(LOWER + "_") or name[0] == "_"), st.sampled_from(KINDS)
)
def test_any_other_name_is_refused(name: str, kind: type[Spec]) -> None:
    """What users type, and what becomes part of a file's name, holds no dot, colon, slash, space or capital."""
    with pytest.raises(ValueError, match="name"):
        make(kind, name=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ref", ["", "a", "a:", ":b", "a b:c", "a:b:c", "1a:b", None, len, "a-b:c"])
def test_a_ref_that_is_no_ref_is_refused_by_its_field(kind: type[Spec], ref: Any) -> None:
    for field in kind.refs:
        with pytest.raises(ValueError, match=field):
            make(kind, **{field: ref})


@pytest.mark.parametrize("summary", ["", "two\nlines", None])
def test_a_summary_is_one_line(summary: Any) -> None:
    with pytest.raises(ValueError, match="summary"):
        make(summary=summary)


@pytest.mark.parametrize("requires", ["scipy", ["scipy"], ("",), (1,)])
def test_requires_is_a_tuple_of_distributions_and_not_one_text(requires: Any) -> None:
    with pytest.raises(ValueError, match="requires"):
        make(requires=requires)


@pytest.mark.parametrize("shape", [(3, 8), (3, 8, 8, 8), (3, 0, 8), (3, 8.0, 8), [3, 8, 8], (True, 8, 8), "388"])
@pytest.mark.parametrize("kind", [Architecture, Dataset])
def test_an_input_shape_is_three_whole_numbers(kind: type[Spec], shape: Any) -> None:
    with pytest.raises(ValueError, match="input_shape"):
        make(kind, input_shape=shape)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (Architecture, "num_classes", 0),
        (Architecture, "num_classes", 10.0),
        (Architecture, "channels", 3),
        (Architecture, "sizes", (32.0,)),
        (Architecture, "min_size", 0),
        (Architecture, "params", {"not an identifier": Param(default=1)}),
        (Architecture, "params", {"width": 1}),
        (Architecture, "params", {"width": Param(default=None)}),  # type: ignore[arg-type]
        (Architecture, "params", {"act": Param(default="relu", choices=("tanh",))}),
        (Architecture, "pretrained", ("a",)),  # without fetch
        (Architecture, "fetch", "a.b:c"),  # without pretrained
        (Loss, "target", "indices"),
        (Loss, "params", {"width": 1}),
        (Dataset, "std", (0.5,)),
        (Dataset, "classes", "cats"),
        (ExportFormat, "suffix", "onnx"),
        (ExportFormat, "suffix", "./onnx"),
    ],
)
def test_a_field_out_of_its_range_is_refused(kind: type[Spec], field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"width|act|tiny"):
        make(kind, **{field: value})


@pytest.mark.parametrize("tags", [["a"], "a", ("",), ("a/b",), ("a:b",), (".a",), ("a b",), (1,)])
def test_a_tag_that_is_no_tag_is_refused(tags: Any) -> None:
    with pytest.raises(ValueError, match="pretrained"):
        make(pretrained=tags, fetch="a.b:c")


@pytest.mark.parametrize("ref", ["a", "a:", 1, len])
def test_fetch_must_be_a_ref(ref: Any) -> None:
    with pytest.raises(ValueError, match="fetch"):
        make(pretrained=("imagenet1k_v1",), fetch=ref)


def test_a_spec_is_plain_data_that_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        make().name = "other"
    assert make() == make()


def test_the_function_of_a_command_must_be_a_ref() -> None:
    assert Command(name="go", summary="s", run="a:b", call="a.b:c").call == "a.b:c"
    with pytest.raises(ValueError, match="call"):
        Command(name="go", summary="s", run="a:b", call="a.b")
