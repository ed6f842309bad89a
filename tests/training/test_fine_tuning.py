"""Training that begins from weights: what is taken over, what is fresh, what stays as it is, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from zoo.contract.callback import Callback
from zoo.contract.errors import PluginError, UsageError, WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.contract.specs import Architecture, Dataset
from zoo.files.card import read_card
from zoo.files.weights import load_weights, save_weights
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry
from zoo.training.checkpoint.saver import Saver
from zoo.training.job import run_job
from zoo.training.optim.freeze import freeze
from zoo.training.optim.head import head_names
from zoo.training.plan import few_images
from zoo.training.prepare import Job, RunPaths, prepare
from zoo.training.recipe.defaults import HEAD_INIT_SCALE
from zoo.training.recipe.file import check_fields, to_recipe
from zoo.training.recipe.overrides import with_overrides
from zoo.training.recipe.recipe import VERSION, Recipe
from zoo.training.resume import ResumeOverrides, find_run, resume_job

Make = Callable[..., Recipe]
Put = Callable[..., RunPaths]
Hearing = Callable[..., Callback]
HEAD = {"8.weight", "8.bias"}


@pytest.fixture
def kit(small: Registry) -> Registry:
    """`small`, with data sets of other class names (`renamed`), of the same in another order, and of one more."""
    plugin = small.plugins[0]

    def like_noise(name: str, *classes: str) -> Dataset:
        return Dataset(name=name, summary="s", load="small_kit:load", classes=classes, input_shape=(1, 8, 8))

    more = (
        like_noise("renamed", "x", "y", "z"),
        like_noise("turned", "b", "a", "c"),
        like_noise("four", "a", "b", "c", "d"),
        Architecture(name="twin", summary="s", build="small_kit:net", input_shape=(1, 8, 8)),
    )
    return Registry([Plugin("kit", "kit", "1", (*plugin.specs, *more))])


@pytest.fixture
def first(kit: Registry, recipe: Make, paths: Put) -> Path:
    """Weights of `net`, trained for an epoch."""
    return run_job(kit, recipe(epochs=1), paths("first")).path


def begun(kit: Registry, recipe: Recipe, paths: RunPaths) -> tuple[Job, nn.Module]:
    job = prepare(kit, recipe, paths)
    return job, job.initial_model()


@pytest.mark.parametrize(("data", "fresh"), [("noise", set()), ("renamed", HEAD), ("turned", HEAD), ("four", HEAD)])
def test_backbone_is_loaded_and_the_head_if_classes_match(
    kit: Registry, recipe: Make, paths: Put, first: Path, data: str, fresh: set[str], callback: Hearing
) -> None:
    made = recipe(initial_checkpoint=str(first), data=data, seed=5)
    job, module = begun(kit, made, paths("second"))
    initial, own = load_weights(first).tensors, job.model().state_dict()
    for name, value in module.state_dict().items():
        assert torch.equal(value, own[name] * HEAD_INIT_SCALE if name in fresh else initial[name]), name
    assert not torch.equal(own["0.weight"], initial["0.weight"])
    messages: list[str] = []
    run_job(kit, made, paths("second"), callback(on_message=lambda text, **how: messages.append(text)))
    assert ("fresh" if fresh else "kept") in messages[-1]
    assert "8.weight" in messages[-1] and str(first) in messages[-1]


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_an_older_recipe_keeps_its_fresh_head(
    kit: Registry, recipe: Make, paths: Put, first: Path, version: int
) -> None:
    """Recipes before 5 leave a fresh head as it is built, train all layers at the full rate, and their batch norms."""
    values = {"architecture": "net", "data": "renamed", "initial_checkpoint": str(first)}
    made = to_recipe({**values, "version": version}, "a file")
    scale = 1.0 if version < 5 else HEAD_INIT_SCALE
    assert made.head_init_scale == scale and ("--head-init-scale" in made.command()) == (version < 5)
    assert (made.lr, made.freeze_bn) == ((1e-3, False) if version < 5 else (3e-4, None))
    assert to_recipe({**values, "version": version, "opt": "sgd"}, "a file").lr == (0.05 if version < 5 else 0.015)
    assert to_recipe({**values, "version": version, "freeze": True}, "a file").lr == 1e-3
    job, module = begun(kit, made, paths("second"))
    for name in HEAD:
        assert torch.equal(module.state_dict()[name], job.model().state_dict()[name] * scale)
    assert to_recipe({**values, "version": version, "head_init_scale": 0.5}, "a file").head_init_scale == 0.5
    kept = to_recipe(made.to_dict(), "a card")
    assert kept == made


@pytest.mark.parametrize("fields", [{"head_init_scale": 0.5}, {"freeze_bn": True}])
def test_what_is_for_fine_tuning_needs_initial_weights(recipe: Make, fields: dict[str, Any]) -> None:
    made = recipe()
    assert (made.head_init_scale, made.freeze_bn, made.lr) == (1, False, 1e-3)
    assert not {"--head-init-scale", "--freeze-bn", "--no-freeze-bn"} & set(made.command().split())
    with pytest.raises(UsageError, match="initial_checkpoint"):
        recipe(**fields)


@pytest.mark.parametrize(("fields", "kept"), [({}, True), ({"freeze_bn": False}, False), ({"freeze_bn": True}, True)])
def test_batch_norm_keeps_its_statistics_for_few_images(
    kit: Registry, recipe: Make, paths: Put, first: Path, fields: dict[str, bool], kept: bool
) -> None:
    done = run_job(kit, recipe(initial_checkpoint=str(first), data="renamed", **fields), paths("second"))
    before, after = load_weights(first).tensors, load_weights(done.path).tensors
    same = {name for name in after if torch.equal(before[name], after[name])}
    statistics = {name for name in after if "running" in name or "tracked" in name}
    assert statistics and same == (statistics if kept else set())  # the scales and biases are trained
    assert done.card.recipe["freeze_bn"] is kept
    assert few_images(1279) and not few_images(1280)


def test_other_initial_weights_have_their_own_defaults(first: Path) -> None:
    before = Recipe(architecture="net", data="pets").to_dict()
    values = with_overrides(check_fields(before, "a card"), {"initial_checkpoint": str(first)})
    made = Recipe(**values)
    assert (made.head_init_scale, made.freeze_bn) == (HEAD_INIT_SCALE, None)


def test_the_images_are_prepared_as_the_weights_saw_theirs(
    kit: Registry, recipe: Make, paths: Put, first: Path
) -> None:
    weights = load_weights(first)
    seen = Preprocess(size=(8, 8), mean=(0.125,), std=(0.5,))
    save_weights(Path("net.seen.safetensors"), weights.tensors, replace(weights.card, preprocess=seen))
    done = run_job(kit, recipe(initial_checkpoint="./net.seen.safetensors", data="renamed", epochs=1), paths("second"))
    assert (done.card.preprocess.mean, done.card.preprocess.std) == ((0.125,), (0.5,))
    with pytest.raises(UsageError, match="images of 1 channels, not 3"):
        run_job(kit, recipe(initial_checkpoint=str(first), channels=3), paths("third"))


def test_head_is_detected_or_its_absence_reported(small: Registry) -> None:
    entry = small.find(Architecture, "net")

    class Headless(nn.Module):
        """Its parameters are the same for any number of classes; a buffer is not."""

        def __init__(self, num_classes: int) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.register_buffer("names", torch.zeros(num_classes))

    import small_kit

    module = small_kit.net(num_classes=3, in_channels=1)
    assert head_names(entry, module, num_classes=3, in_channels=1, params={}) == HEAD
    small_kit.net = lambda *, num_classes, in_channels, width=8: Headless(num_classes)
    with pytest.raises(PluginError, match="No parameter of net depends on the number of classes"):
        head_names(entry, Headless(3), num_classes=3, in_channels=1, params={})


def test_what_is_frozen_does_not_change_and_the_head_does(kit: Registry, recipe: Make, paths: Put, first: Path) -> None:
    """BatchNorm's statistics and counters are frozen too, and with a moving average."""
    for number, more in enumerate(({}, {"model_ema_decay": 0.9}, {"opt": "sgd", "clip_grad": 1.0})):
        made = recipe(initial_checkpoint=str(first), data="renamed", freeze=True, lr=0.05, **more)
        after = load_weights(run_job(kit, made, paths(f"frozen{number}")).path).tensors
        before = load_weights(first).tensors
        assert {name for name in after if not torch.equal(after[name], before[name])} == HEAD


def test_dropout_goes_on_in_a_frozen_part() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(8, 3))
    assert freeze(module, frozenset({"4.weight", "4.bias"})) == [module[0], module[1]]
    assert [name for name, p in module.named_parameters() if p.requires_grad] == ["4.weight", "4.bias"]


@pytest.mark.parametrize(
    "more",
    [
        {"layer_decay": 0.5, "opt": "muon", "sched": "one_cycle"},
        {"layer_decay": 0.5, "opt": "sgd", "sched": "step", "clip_grad": 0.5},
        {"layer_decay": 0.75, "model_ema_decay": 0.9},
        {"freeze": True},
    ],
    ids=["muon", "sgd", "adamw", "frozen"],
)
def test_a_stopped_fine_tuning_goes_on_to_the_same_bytes(
    kit: Registry, recipe: Make, paths: Put, first: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, object]
) -> None:
    made = recipe(initial_checkpoint=str(first), data="renamed", **more)
    alone = run_job(kit, made, paths("same"))
    expected = alone.path.read_bytes()
    alone.path.unlink()
    alone.run.rename("alone")
    left = [3, 6]

    def due(self: Saver) -> None:
        if left and self._state.step == left[0]:
            left.pop(0)
            raise KeyboardInterrupt

    monkeypatch.setattr(Saver, "save_if_due", due)
    with pytest.raises(KeyboardInterrupt):
        run_job(kit, made, paths("same"))
    with pytest.raises(KeyboardInterrupt):
        resume_job(kit, *find_run("same"), ResumeOverrides())
    assert resume_job(kit, *find_run("same"), ResumeOverrides()).path.read_bytes() == expected


def test_resume_refuses_changed_initial_weights(
    kit: Registry, recipe: Make, paths: Put, first: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe(initial_checkpoint=str(first), data="renamed")
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_job(kit, made, paths("second"))
    run_job(kit, recipe(epochs=1, seed=9), replace(paths("first"), run_name="other", force=True))
    with pytest.raises(WeightsError, match="their digest starts with"):
        resume_job(kit, *find_run("second"), ResumeOverrides())


def test_resume_elsewhere_keeps_the_initial_weights(
    kit: Registry, recipe: Make, paths: Put, first: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The weights to begin from were named by a path from the folder where the run began."""
    near = first.absolute().relative_to(Path.cwd().parent)
    made, here = (
        recipe(initial_checkpoint=str(near), data="renamed"),
        replace(paths("first"), force=True, run_name="again"),
    )
    with pytest.raises(UsageError, match="its own initial weights"):
        run_job(kit, recipe(initial_checkpoint=str(first), data="renamed"), here)
    monkeypatch.chdir(Path.cwd().parent)
    places_there = replace(paths("second"), weights=tmp_path / "w", runs=tmp_path / "r")
    with monkeypatch.context() as patched:
        patched.setattr(Saver, "save_if_due", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_job(kit, made, places_there)
    monkeypatch.chdir("/")
    assert resume_job(kit, *find_run(str(tmp_path / "r" / "second")), ResumeOverrides()).path.is_file()


def test_the_card_records_what_it_began_from_and_its_digest(
    kit: Registry, recipe: Make, paths: Put, first: Path
) -> None:
    card = run_job(kit, recipe(initial_checkpoint=str(first), epochs=1), paths("second")).card
    digits = read_card(first)[0].digest.removeprefix("sha256:")[:16]
    assert (
        card.recipe["initial_checkpoint"] == f"{first}@{digits}"
        and f"--initial-checkpoint {first}@{digits}" in card.command
    )
    again = run_job(kit, recipe(initial_checkpoint=f"{first}@{digits[:8]}", epochs=1), paths("third")).card
    assert (again.recipe["initial_checkpoint"], again.digest) == (card.recipe["initial_checkpoint"], card.digest)


def test_mismatched_initial_weights_are_refused(kit: Registry, recipe: Make, paths: Put, first: Path) -> None:
    for fields, says in (
        ({"architecture": "twin"}, "kit:net.*kit:twin"),
        ({"params": {"width": 4}}, r"0\.weight \(8, 1, 3, 3\) torch.float32 instead of \(4, 1, 3, 3\)"),
        ({"initial_checkpoint": f"{first}@00000000"}, "00000000"),
    ):
        with pytest.raises(WeightsError, match=says):
            run_job(kit, recipe(**{"initial_checkpoint": str(first), **fields}), paths("second"))
    weights = load_weights(first)
    for name, tensors, says in (
        ("less", {k: v for k, v in weights.tensors.items() if k != "1.running_var"}, "1.running_var is missing"),
        ("more", {**weights.tensors, "extra": torch.zeros(1)}, "extra is not in the model"),
    ):
        path = Path(f"net.{name}.safetensors")
        save_weights(path, tensors, weights.card)
        with pytest.raises(WeightsError, match=says):
            run_job(kit, recipe(initial_checkpoint=f"./{path}", data="renamed"), paths("second"))
    assert not Path("runs/second").exists()


def test_freeze_requires_initial_weights(recipe: Make) -> None:
    with pytest.raises(UsageError, match="`initial_checkpoint`"):
        recipe(freeze=True)


@pytest.mark.parametrize("more", [{"layer_decay": 0.5}, {"opt": "muon"}], ids=lambda more: next(iter(more)))
def test_freeze_excludes_layer_decay_and_muon(recipe: Make, more: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="freeze=True"):
        recipe(initial_checkpoint="net.first", freeze=True, **more)
