"""The command that a card records gives the very recipe that made the weights."""

import re
import shlex
import subprocess
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.cli.commands.train import command
from zoo.cli.training.recipe_cli import recipe_from_options
from zoo.contract.errors import UsageError, ZooError
from zoo.contract.specs import Architecture, Dataset, Loss, Param
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo.training.optim.optimizers import OPTIMIZERS
from zoo.training.recipe.recipe import FIELDS, Recipe
from zoo.training.recipe.table import markdown_table

PARAMS = {
    "depth": Param(default=2),
    "rate": Param(default=0.5),
    "bias": Param(default=True),
    "note": Param(default=""),
    "scales": Param(default=(1.0,)),
}
SPECS = (
    Architecture(name="net", summary="s", build="a:b", input_shape=(3, 8, 8), params=PARAMS),
    Dataset(name="pets", summary="s", load="a:b"),
    Loss(name="cross_entropy", summary="s", build="a:b", params=PARAMS),
    Loss(name="focal", summary="s", build="a:b", params=PARAMS),
    Loss(name="smooth", summary="s", build="a:b", params={"label_smoothing": Param(default=0.0)}),
)
RATES = st.floats(1e-9, 1e3, allow_nan=False)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
GIVEN = st.fixed_dictionaries(
    {},
    optional={
        "depth": st.integers(-99, 99),
        "rate": st.floats(allow_nan=False, allow_infinity=False),
        "bias": st.booleans(),
        "note": TEXT,
        "scales": st.lists(st.floats(-9, 9), max_size=3).map(tuple),
    },
)
WARMUP = st.just(0.0) | RATES
SCHEDULES = st.one_of(
    st.fixed_dictionaries({"sched": st.sampled_from(["cosine", "constant"]), "warmup_epochs": WARMUP}),
    st.fixed_dictionaries({"sched": st.just("one_cycle")}),
    st.fixed_dictionaries(
        {
            "sched": st.just("step"),
            "warmup_epochs": WARMUP,
            "decay_milestones": st.lists(st.floats(0.001, 0.999), max_size=4, unique=True).map(sorted).map(tuple),
            "decay_rate": st.floats(0.001, 1),
        }
    ),
)
RECIPES = st.builds(
    lambda schedule, **others: Recipe(**schedule, **others),
    SCHEDULES,
    architecture=st.sampled_from(["net", "kit:net"]),
    data=st.sampled_from(["pets", "kit:pets"]),
    params=GIVEN,
    img_size=st.none() | st.integers(1, 512),
    channels=st.none() | st.sampled_from([1, 3]),
    loss=st.sampled_from(["cross_entropy", "focal"]),
    loss_params=GIVEN,
    layer_decay=st.just(1.0) | st.floats(0.1, 0.99),
    epochs=st.integers(1, 500),
    batch_size=st.integers(1, 4096),
    grad_accum_steps=st.integers(1, 64),
    opt=st.sampled_from(list(OPTIMIZERS)),
    lr=st.none() | RATES,
    weight_decay=st.none() | st.just(0.0) | RATES,
    momentum=st.none() | st.floats(0, 0.999),
    clip_grad=st.just(0.0) | RATES,
    model_ema_decay=st.just(0.0) | st.floats(0.1, 0.9999),
    hold_out=st.floats(0.01, 0.9),
    patience=st.integers(0, 50),
    crop=st.none() | st.integers(0, 64),
    hflip=st.none() | st.booleans(),
    aa=st.sampled_from(["", "trivial"]),
    reprob=st.just(0.0) | st.floats(0.001, 1),
    mixup=st.just(0.0) | st.floats(0.001, 100),
    cutmix=st.just(0.0) | st.floats(0.001, 100),
    amp=st.none() | st.booleans(),
    torchcompile=st.booleans(),
    seed=st.integers(0, 2**63 - 1),
)


def parse(text: str) -> Recipe:
    """What `zoo train` makes of a command line."""
    words = shlex.split(text)
    assert words[:2] == ["zoo", "train"]
    options = command.make_context("train", words[2:]).params
    names = {"recipe", "like", "smoothing", *FIELDS}
    registry = Registry([Plugin("kit", "kit", "1", SPECS)])
    return recipe_from_options(registry, {name: value for name, value in options.items() if name in names})


@given(RECIPES)
def test_the_command_of_a_recipe_gives_the_same_recipe(recipe: Recipe) -> None:
    assert parse(recipe.command()) == recipe


def test_a_plain_recipe_has_a_plain_command() -> None:
    assert Recipe(architecture="net", data="pets").command() == "zoo train net --data pets"
    command = Recipe(architecture="net", data="pets", epochs=3, hflip=False, params={"depth": 4}).command("--tag", "t")
    assert command == "zoo train net --data pets -p depth=4 --epochs 3 --no-hflip --tag t"


def test_every_field_has_an_option_with_the_same_default() -> None:
    options = {option.name: option for option in command.params}
    assert {field.name for field in fields(Recipe)} <= set(options)
    assert parse("zoo train net --data pets") == Recipe(architecture="net", data="pets")


def test_a_card_records_every_default() -> None:
    recorded = Recipe(architecture="net", data="pets", opt="sgd").to_dict()
    assert (recorded["lr"], recorded["weight_decay"]) == (0.05, 0.0005)
    assert Recipe(architecture="net", data="pets").to_dict()["lr"] == 0.001
    assert recorded.keys() - {"version"} == asdict(Recipe(architecture="net", data="pets")).keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0.0),
        ("lr", -1.0),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("weight_decay", -0.1),
        ("warmup_epochs", -1.0),
        ("warmup_epochs", float("nan")),
        ("crop", -1),
        ("opt", "adam"),
        ("sched", "poly"),
        ("grad_accum_steps", 0),
        ("momentum", 1.0),
        ("momentum", -0.1),
        ("clip_grad", -1.0),
        ("clip_grad", float("nan")),
        ("decay_milestones", (0.5, 0.5)),
        ("decay_milestones", (0.0,)),
        ("decay_milestones", (0.5, 1.0)),
        ("decay_rate", 0.0),
        ("decay_rate", 1.1),
        ("model_ema_decay", 1.0),
        ("model_ema_decay", -0.1),
        ("hold_out", 1.0),
        ("hold_out", -0.1),
        ("patience", -1),
        ("layer_decay", 0.0),
        ("layer_decay", 1.1),
        ("reprob", -0.1),
        ("reprob", 1.1),
        ("reprob", float("nan")),
        ("mixup", -0.1),
        ("mixup", float("inf")),
        ("cutmix", -0.1),
        ("cutmix", 101.0),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_value_out_of_range_is_a_usage_error(field: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"{field} = "):
        Recipe(**{"architecture": "net", "data": "pets", field: value})


def test_patience_requires_a_hold_out() -> None:
    with pytest.raises(UsageError, match="`patience` requires `hold_out`"):
        Recipe(architecture="net", data="pets", patience=3)


@pytest.mark.parametrize(
    "words", ["--decay-milestones 0.3", "--decay-rate 0.5 --sched constant", "--warmup-epochs 3 --sched one_cycle"]
)
def test_a_field_that_the_schedule_does_not_use_is_refused(words: str) -> None:
    with pytest.raises(UsageError, match=r"sched=.(cosine|constant|one_cycle)"):
        parse(f"zoo train net --data pets {words}")


def test_no_warm_up_goes_with_every_schedule() -> None:
    assert parse("zoo train net --data pets --sched one_cycle --warmup-epochs 0").warmup_epochs == 0


def test_another_schedule_drops_a_files_settings_of_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('sched = "step"\ndecay_milestones = [0.3]\ndecay_rate = 0.5\nwarmup_epochs = 3\nepochs = 4')
    start = f"zoo train net --data pets --recipe {path}"
    assert parse(start).decay_milestones == (0.3,)
    assert parse(f"{start} --sched cosine") == Recipe(architecture="net", data="pets", epochs=4, warmup_epochs=3)
    assert parse(f"{start} --sched one_cycle").warmup_epochs == Recipe.warmup_epochs
    with pytest.raises(UsageError, match="decay_milestones = "):
        parse(f"{start} --sched cosine --decay-milestones 0.2")
    path.write_text("decay_milestones = [0.3]")
    assert parse(f"{start} --sched step").decay_milestones == (0.3,)
    with pytest.raises(UsageError, match="decay_milestones = "):
        parse(start)


def test_another_optimizer_or_loss_drops_a_files_settings_of_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'opt = "sgd"\nlr = 0.3\nweight_decay = 0.1\nmomentum = 0.5\nloss = "focal"\n[loss_params]\nscales = [1.0]'
    )
    start = f"zoo train net --data pets --recipe {path}"
    assert (parse(start).lr, parse(start).momentum) == (0.3, 0.5) and parse(start).loss_params["scales"] == (1.0,)
    assert parse(f"{start} --opt sgd --loss kit:focal") == replace(parse(start), loss="kit:focal")
    plain = Recipe(architecture="net", data="pets", opt="muon")
    other = parse(f"{start} --opt muon --weight-decay 0.2 --loss cross_entropy")
    assert (other.lr, other.momentum, other.weight_decay) == (plain.lr, plain.momentum, 0.2)
    assert "scales" not in other.loss_params
    path.write_text("lr = 0.3")
    assert parse(f"{start} --opt sgd").lr == 0.3


def test_a_command_line_out_of_range_is_wrong_usage() -> None:
    for words in ("--epochs 0", "--opt adam", "--hflip=1", "--seed -1", "--decay-milestones a,b"):
        with pytest.raises((click.UsageError, UsageError)):
            parse(f"zoo train net --data pets {words}")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--optimizer sgd", "--opt sgd"),
        ("--schedule step --milestones 0.5 --gamma 0.2", "--sched step --decay-milestones 0.5 --decay-rate 0.2"),
        ("--clip 1 --accumulate 2 --ema 0.9", "--clip-grad 1 --grad-accum-steps 2 --model-ema-decay 0.9"),
        ("--erase 0.2 --image-size 9 --init ./w", "--reprob 0.2 --img-size 9 --initial-checkpoint ./w -p depth=2"),
        ("--trivial-augment --compile", "--aa trivial --torchcompile"),
        ("--no-trivial-augment --no-compile", "--aa none --no-torchcompile"),
    ],
)
def test_flags_of_release_0_1_still_work_and_are_not_shown(old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "zoo.training.recipe.complete.params_of_weights", lambda _, name, __, **___: {"depth": 2} if name else {}
    )
    assert parse(f"zoo train net --data pets {old}") == parse(f"zoo train net --data pets {new}")
    shown = command.get_help(click.Context(command))
    assert not [word for word in old.split() if word.startswith("--") and f"{word} " in shown]


def test_smoothing_sets_the_parameter_of_the_loss() -> None:
    start = "zoo train net --data pets --loss smooth"
    assert parse(f"{start} --smoothing 0.1") == parse(f"{start} --loss-param label_smoothing=0.1")
    with pytest.raises(UsageError, match="label_smoothing"):
        parse(f"{start} --smoothing 0.1 --loss-param label_smoothing=0.2")
    with pytest.raises(ZooError, match="label_smoothing"):
        parse("zoo train net --data pets --loss focal --smoothing 0.1")


def test_help_shows_every_option_in_one_section() -> None:
    shown = command.get_help(click.Context(command))
    titles = re.findall(r"^(\S[^:\n]*):$", shown, re.MULTILINE)
    assert titles[0] == "Recipe and resuming" and titles[-2:] == ["Output", "Options"]
    assert {declaration.group for declaration in FIELDS.values()} <= set(titles)
    for declaration in list(FIELDS.values())[1:]:
        assert len(re.findall(rf"^  .*{declaration.flag}(?![\w-])(?= )", shown, re.MULTILINE)) >= 1


def test_the_table_of_the_documentation_has_every_field() -> None:
    lines = markdown_table().splitlines()
    assert [line.split("`")[1] for line in lines[2:]] == list(FIELDS)
    assert all(line.count(" | ") == 4 for line in lines)


@pytest.mark.parametrize("name", FIELDS)
def test_a_field_is_declared_in_plain_words(name: str) -> None:
    declaration = FIELDS[name]
    assert declaration.help[0].isupper() and declaration.help.endswith(".") and len(declaration.help) < 110
    for other in (declaration.goes_with, declaration.requires):
        assert not other or other in FIELDS
    assert declaration.default is None or declaration.has_type(declaration.default)
    assert name in ("architecture", "data") or declaration.in_range(declaration.default)


def test_the_recipe_loads_nothing_heavy() -> None:
    look = (
        "import sys, zoo.training.recipe.table, zoo.training.recipe.file; print({'torch', 'numpy'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True).stdout == "set()\n"
