"""`-p NAME=VALUE` is converted to the declared type, or refused with an error that names it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.contract.errors import UnknownName, UsageError
from zoo.contract.params import check_params, split_params
from zoo.contract.specs import Loss, Param

SPEC = Loss(
    name="soft",
    summary="s",
    build="a:b",
    params={
        "depth": Param(default=2),
        "rate": Param(default=0.5),
        "act": Param(default="relu", choices=("relu", "tanh")),
        "bias": Param(default=True),
        "scales": Param(default=(1.0, 2.0)),
        "note": Param(default=""),
    },
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("depth=3", 3),
        ("depth=-3", -3),
        ("rate=1", 1.0),
        ("rate=1e-3", 0.001),
        ("act=tanh", "tanh"),
        ("bias=no", False),
        ("bias=True", True),
        ("bias=0", False),
        ("scales=1,2.5", (1.0, 2.5)),
        ("scales=", ()),
        ("note=a=b c", "a=b c"),
        ("note=", ""),
    ],
)
def test_a_text_becomes_the_declared_type(text: str, value: Any) -> None:
    (parsed,) = check_params(SPEC, split_params([text])).values()
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    "text", ["depth=x", "depth=1.5", "depth=", "rate=fast", "bias=maybe", "scales=1,,2", "act=gelu"]
)
def test_value_of_the_wrong_type_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_params(SPEC, split_params([text]))
    assert text.partition("=")[0] in caught.value.cause
    assert "loss soft" in caught.value.cause
    assert repr(SPEC.params[text.partition("=")[0]].default).strip("'") in caught.value.next_step


def test_a_text_without_an_equals_sign_is_shown_how_to_write_it() -> None:
    with pytest.raises(UsageError, match="'depth'"):
        check_params(SPEC, split_params(["depth"]))


def test_an_unknown_parameter_gets_a_close_match_or_the_names() -> None:
    with pytest.raises(UnknownName) as caught:
        check_params(SPEC, split_params(["dept=3"]))
    assert caught.value.next_step == "Did you mean depth?"
    with pytest.raises(UnknownName) as caught:
        check_params(SPEC, split_params(["zzz=3"]))
    assert all(name in caught.value.next_step for name in SPEC.params)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.sampled_from([*SPEC.params]), JSON)
def test_any_json_value_is_converted_or_refused(name: str, value: Any) -> None:
    try:
        converted = check_params(SPEC, {name: value})[name]
    except UsageError:
        return
    assert type(converted) is type(SPEC.params[name].default)


@pytest.mark.parametrize("value", [1.5, True, None, [1], float("inf")])
def test_a_number_is_never_rounded_silently(value: Any) -> None:
    with pytest.raises(UsageError):
        check_params(SPEC, {"depth": value})
