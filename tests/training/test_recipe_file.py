"""Recipes from a file or a card: flags win, and what is misspelt, mistyped or from the future is said."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.contract.errors import UsageError, WeightsError
from zoo.training.recipe.file import check_fields, read_recipe_file, recipe_of_card, to_recipe
from zoo.training.recipe.recipe import VERSION, Recipe


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


def test_a_file_sets_what_it_names(tmp_path: Path) -> None:
    text = """
        version = 1
        architecture = "net"
        data = "pets"
        lr = 1
        hflip = false
        schedule = "step"
        milestones = [0.3, 0.6]
        [params]
        depth = 4
    """
    recipe = to_recipe(read_recipe_file(file(tmp_path, text)), "mine.toml")
    assert recipe == Recipe(
        architecture="net",
        data="pets",
        lr=1.0,
        hflip=False,
        sched="step",
        decay_milestones=(0.3, 0.6),
        params={"depth": 4},
    )


@pytest.mark.parametrize(
    ("text", "cause", "step"),
    [
        ("epocs = 3", "'epocs', which is no field", "Did you mean epochs?"),
        ("optimizer = 'sgd'", "'optimizer', which is no field", "Did you mean opt?"),
        ("warmup-epochs = 2", "'warmup-epochs', which", "Did you mean warmup_epochs?"),
        ("zzz = 3", "'zzz'", "The fields are: architecture"),
        ("epochs = 'ten'", "epochs = 'ten' in .* is not a whole number", "type"),
        ("epochs = 2.5", "is not a whole number", "type"),
        ("epochs = true", "is not a whole number", "type"),
        ("lr = 'high'", "is not a number", "type"),
        ("amp = 1", "is not true or false", "type"),
        ("mixup = true", "is not a number", "type"),
        ("hflip = 0.5", "is not true or false", "type"),
        ("decay_milestones = ['a']", "is not a list of numbers", "type"),
        ("params = 3", "is not a table", "type"),
        ("opt = 3", "is not text", "type"),
        ("version = 99", "version 99, and this zoo knows versions up to 3", "release"),
        ("version = 'new'", "version 'new'", "release"),
        ("epochs 3", "is not a TOML file", "epochs = 20"),
        ("\x00", "is not a TOML file", "epochs = 20"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, cause: str, step: str) -> None:
    with pytest.raises(UsageError, match=cause) as raised:
        read_recipe_file(file(tmp_path, text))
    assert step in raised.value.next_step


def test_a_file_that_is_not_there_or_names_no_architecture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="could not be read"):
        read_recipe_file(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="does not name the architecture"):
        to_recipe({"data": "pets"}, "mine.toml")


def test_a_card_of_before_a_field_was_added_is_read_as_if_it_were_off() -> None:
    recipe = Recipe(architecture="net", data="pets", epochs=3)
    added = {"aa", "reprob", "mixup", "cutmix"}
    old = {name: value for name, value in recipe.to_dict().items() if name not in added}
    for version in range(1, VERSION + 1):
        card = {**old, "version": version}
        assert to_recipe(recipe_of_card(card, Path("w.safetensors")), "a card") == recipe


def test_a_card_without_a_recipe_is_refused_politely() -> None:
    with pytest.raises(WeightsError, match="records no recipe"):
        recipe_of_card({}, Path("w.safetensors"))
    with pytest.raises(WeightsError, match="version 7"):
        recipe_of_card({"version": 7}, Path("w.safetensors"))


@given(
    st.fixed_dictionaries(
        {"sched": st.just("step")},
        optional={
            "epochs": st.integers(1, 99),
            "lr": st.floats(1e-9, 1),
            "model_ema_decay": st.floats(0, 0.99),
            "decay_milestones": st.lists(st.floats(0.01, 0.99), unique=True).map(sorted).map(tuple),
            "crop": st.none() | st.integers(0, 9),
            "opt": st.sampled_from(["adamw", "sgd", "muon"]),
        },
    )
)
def test_a_recipe_survives_being_recorded(fields: dict[str, Any]) -> None:
    recipe = Recipe(architecture="net", data="pets", **fields)
    assert to_recipe(recipe.to_dict(), "a card") == recipe


@given(
    st.sampled_from(sorted(asdict(Recipe(architecture="a", data="b")))),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
        max_leaves=4,
    ),
)
def test_no_value_of_any_type_gets_through_but_as_a_usage_error(name: str, value: Any) -> None:
    try:
        recipe = to_recipe({"architecture": "net", "data": "pets", **check_fields({name: value}, "it")}, "it")
    except UsageError:
        return
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize(
    ("field", "value", "asked"),
    [
        ("lr", 0.0, "above 0"),
        ("hold_out", 1.0, "from 0 to below 1"),
        ("decay_milestones", (0.7, 0.3), "shares between 0 and 1, in rising order"),
        ("opt", "adm", "one of adamw, sgd, muon"),
    ],
)
def test_a_value_that_is_out_of_range_is_told_the_range(field: str, value: Any, asked: str) -> None:
    with pytest.raises(UsageError, match=rf"^{field} = .* is out of range: it must be {asked}\."):
        Recipe(**{"architecture": "net", "data": "pets", field: value})
