"""Recipes from a file or a card: names and types are checked, and those of earlier versions are read."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.contract.errors import UsageError, WeightsError
from zoo.files.card import read_card
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.recipe.file import (
    BEFORE_4,
    BEFORE_5,
    NEW_NAMES,
    check_fields,
    read_recipe_file,
    recipe_of_card,
    to_recipe,
    with_new_names,
)
from zoo.training.recipe.recipe import FIELDS, VERSION, Recipe


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
        **BEFORE_4,
        **BEFORE_5,
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
        ("epocs = 3", "'epocs'", "epochs"),
        ("warmup-epochs = 2", "'warmup-epochs'", "warmup_epochs"),
        ("zzz = 3", "'zzz'", "architecture"),
        ("epochs = 'ten'", "epochs = 'ten'", "type"),
        ("epochs = 2.5", "an integer", "type"),
        ("epochs = true", "an integer", "type"),
        ("lr = 'high'", "a number", "type"),
        ("amp = 1", "true or false", "type"),
        ("mixup = true", "a number", "type"),
        ("hflip = 0.5", "true or false", "type"),
        ("decay_milestones = ['a']", "a list of numbers", "type"),
        ("params = 3", "a table", "type"),
        ("opt = 3", "a string", "type"),
        ("version = 99", "99", "release"),
        ("version = 'new'", "'new'", "release"),
        ("epochs 3", "TOML", "epochs = 20"),
        ("\x00", "TOML", "epochs = 20"),
    ],
)
def test_an_error_in_a_file_names_the_field_and_what_to_do(tmp_path: Path, text: str, cause: str, step: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_recipe_file(file(tmp_path, text))
    assert cause in raised.value.cause and step in raised.value.next_step


@pytest.mark.parametrize(("old", "new"), NEW_NAMES.items())
def test_an_old_name_is_an_error_that_names_the_new_one(tmp_path: Path, old: str, new: str) -> None:
    with pytest.raises(UsageError) as raised:
        read_recipe_file(file(tmp_path, f"{old} = 3"))
    assert repr(old) in raised.value.cause and new in raised.value.next_step


def test_old_names_are_read_in_a_file_of_version_2(tmp_path: Path) -> None:
    text = 'version = 2\noptimizer = "sgd"\ntrivial_augment = true\nmilestones = [0.5]\nclip = 1\ncompile = false'
    values = read_recipe_file(file(tmp_path, text))
    expected = {"opt": "sgd", "aa": "trivial", "decay_milestones": (0.5,), "clip_grad": 1, "torchcompile": False}
    assert values == {**BEFORE_4, **BEFORE_5, **expected}


def test_a_file_must_exist_and_name_an_architecture(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=re.escape("none.toml")):
        read_recipe_file(tmp_path / "none.toml")
    with pytest.raises(UsageError, match="architecture"):
        to_recipe({"data": "pets"}, "mine.toml")


def test_a_field_that_a_card_lacks_has_its_default() -> None:
    recipe = Recipe(architecture="net", data="pets", epochs=3)
    added = {"aa", "reprob", "mixup", "cutmix"}
    old = {name: value for name, value in recipe.to_dict().items() if name not in added}
    for version in range(1, VERSION + 1):
        card = {**old, "version": version}
        assert to_recipe(recipe_of_card(card, Path("w.safetensors")), "a card") == recipe


def test_a_card_without_a_known_recipe_is_refused() -> None:
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
            "opt": st.sampled_from(list(OPTIMIZERS)),
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
def test_a_value_of_another_type_is_a_usage_error(name: str, value: Any) -> None:
    try:
        recipe = to_recipe({"architecture": "net", "data": "pets", **check_fields({name: value}, "it")}, "it")
    except UsageError:
        return
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize("name", FIELDS)
def test_a_recipe_refuses_a_value_of_another_type(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name} = "):
        Recipe(**{"architecture": "net", "data": "pets", name: object()})


def test_the_cards_of_release_0_1_give_the_same_recipes() -> None:
    """Of version 2, under the names that fields had then; what the card records besides is still what they mean."""
    for path in sorted((Path(__file__).parents[2] / "weights").glob("*.safetensors")):
        recorded = read_card(path)[0].recipe
        recipe = to_recipe(recipe_of_card(recorded, path), str(path)).to_dict()
        assert recorded["version"] == 2 and recipe["version"] == VERSION
        assert BEFORE_4 | BEFORE_5 | {"exif_orientation": None} | with_new_names(recorded) | {
            "version": VERSION
        } == json.loads(json.dumps(recipe))


def test_an_old_field_name_says_how_old_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.toml"
    path.write_text('architecture = "lenet5"\ndata = "digits"\nclip = 1.0\n')
    with pytest.raises(UsageError) as raised:
        read_recipe_file(path)
    assert "clip_grad" in raised.value.next_step and "version = 2" in raised.value.next_step
    path.write_text("version = 2\n" + path.read_text())
    assert read_recipe_file(path)["clip_grad"] == 1.0
