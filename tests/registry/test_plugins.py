"""A broken plugin is left out whole and named with its error; it never takes the others down."""

import sys
from collections.abc import Callable, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint
from importlib.util import spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from zoo import Architecture, Loss, Spec, hookimpl
from zoo.registry.discovery import discover

Plant = Callable[..., EntryPoint]


class Raising(MetaPathFinder, Loader):
    """Modules whose import raises."""

    def __init__(self) -> None:
        self.errors: dict[str, BaseException] = {}

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return spec_from_loader(name, self) if name in self.errors else None

    def exec_module(self, module: ModuleType) -> None:
        raise self.errors[module.__name__]


@pytest.fixture
def plant(monkeypatch: pytest.MonkeyPatch) -> Plant:
    """Make a plugin out of a hook (or of an error that its import raises) and give its entry point."""
    finder = Raising()
    monkeypatch.setattr(sys, "meta_path", [finder, *sys.meta_path])

    def make(
        hook: Callable[..., Any] | None = None, *, name: str = "fake", raises: BaseException | None = None, **more: Any
    ) -> EntryPoint:
        module = ModuleType(f"planted_{name}")
        if raises is not None:
            finder.errors[module.__name__] = raises
            return EntryPoint(name, module.__name__, "zoo")
        if hook is not None:
            more.setdefault("zoo_specs", hookimpl(hook))
        for key, value in more.items():
            setattr(module, key, value)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        return EntryPoint(name, module.__name__, "zoo")

    return make


def tiny(name: str = "tiny") -> Architecture:
    return Architecture(name=name, summary="Small", build="somewhere:Tiny", input_shape=(3, 8, 8))


def good() -> Iterator[Spec]:
    yield tiny()


def test_a_plugin_provides_what_its_hook_yields(plant: Plant) -> None:
    (plugin,) = discover([plant(good)])
    assert (plugin.name, plugin.specs, plugin.error) == ("fake", (tiny(),), "")
    assert (plugin.distribution, plugin.version) == ("unknown", "unknown")


def test_a_hook_may_return_a_list(plant: Plant) -> None:
    assert discover([plant(lambda: [tiny("a"), tiny("b")])])[0].specs == (tiny("a"), tiny("b"))


def test_a_hook_may_yield_nothing(plant: Plant) -> None:
    assert discover([plant(lambda: ())])[0].error == ""


@pytest.mark.parametrize(
    "error", [ImportError("no engine"), SyntaxError("bad line"), SystemExit(7), RecursionError("deep"), OSError("disk")]
)
def test_an_import_that_raises_leaves_out_that_plugin_alone(plant: Plant, error: BaseException) -> None:
    broken, well = discover([plant(raises=error, name="broken"), plant(good, name="well")])
    assert broken.specs == ()
    assert broken.error == f"{type(error).__name__}: {error}"
    assert well.specs == (tiny(),)


def test_a_plugin_whose_module_is_gone_is_named_with_it() -> None:
    (plugin,) = discover([EntryPoint("gone", "no_such_module_anywhere", "zoo")])
    assert "no_such_module_anywhere" in plugin.error


def test_ctrl_c_during_discovery_stops_it(plant: Plant) -> None:
    with pytest.raises(KeyboardInterrupt):
        discover([plant(raises=KeyboardInterrupt())])


def raising_hook() -> Iterator[Spec]:
    yield tiny()
    raise RuntimeError("half-way")


def twice() -> Iterator[Spec]:
    yield tiny()
    yield tiny()


def with_malformed_spec() -> Iterator[Spec]:
    yield tiny("Not A Name")


class Unfinished(Spec):
    """A kind of spec that says no kind."""


@pytest.mark.parametrize(
    ("hook", "message"),
    [
        (raising_hook, "RuntimeError: half-way"),
        (lambda: None, "returned None"),
        (lambda: "tiny", "'t'"),
        (lambda: tiny(), "not iterable"),
        (lambda: 7, "not iterable"),
        (lambda: [None], "None"),
        (lambda: [Architecture], "Architecture"),
        (lambda: [Unfinished(name="a", summary="b")], "AttributeError"),
        (lambda: [Spec(name="a", summary="b")], "AttributeError"),
        (lambda registry: [tiny()], "registry"),
        (twice, "yielded the architecture tiny twice"),
        (with_malformed_spec, "lower-case letters"),
    ],
)
def test_nonsense_from_a_hook_is_an_error_that_says_what_it_was(
    plant: Plant, hook: Callable[..., Any], message: str
) -> None:
    broken, well = discover([plant(hook, name="broken"), plant(good, name="well")])
    assert broken.specs == ()
    assert message in broken.error
    assert "\n" not in broken.error
    assert well.specs == (tiny(),)


def test_a_misspelt_hook_is_an_error(plant: Plant) -> None:
    (plugin,) = discover([plant(good, zoo_spec=hookimpl(lambda: [tiny("other")]))])
    assert "zoo_spec" in plugin.error
    assert plugin.specs == ()


def test_hook_without_hookimpl_names_the_marker(plant: Plant) -> None:
    assert "@hookimpl" in discover([plant(zoo_specs=lambda: [tiny()])])[0].error


def test_one_name_may_be_of_two_kinds(plant: Plant) -> None:
    both = [tiny("focal"), Loss(name="focal", summary="A loss", build="a:b")]
    assert discover([plant(lambda: both)])[0].specs == tuple(both)


def test_zoo_raise_errors_raises_the_plugins_own_error(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_RAISE_ERRORS", "1")
    with pytest.raises(RuntimeError, match="half-way"):
        discover([plant(raising_hook)])


def test_order_of_plugins_is_deterministic(plant: Plant) -> None:
    points = [plant(good, name=name) for name in ("b", "c", "a")]
    assert [plugin.name for plugin in discover(points)] == [plugin.name for plugin in discover(points[::-1])]
    assert len(discover([*points, *points])) == 3


def test_half_an_installation_does_not_take_the_rest_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dist-info folder that lost its METADATA: its entry point is listed and everything else goes on."""
    remains = tmp_path / "half-1.0.dist-info"
    remains.mkdir()
    (remains / "entry_points.txt").write_text("[zoo]\nhalf = nowhere_to_be_found\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins = {plugin.name: plugin for plugin in discover()}
    assert plugins["half"].distribution == "unknown"
    assert "nowhere_to_be_found" in plugins["half"].error
    assert plugins["core"].error == ""


class Damaged:
    """A distribution whose metadata cannot be read."""

    @property
    def name(self) -> str:
        raise OSError("no METADATA")


@pytest.mark.parametrize("dist", [Damaged(), SimpleNamespace(name=None, version=None)])
def test_a_distribution_that_cannot_say_its_name_is_unknown(plant: Plant, dist: Any) -> None:
    (plugin,) = discover([plant(good)._for(dist)])  # type: ignore[attr-defined]
    assert (plugin.distribution, plugin.version, plugin.specs) == ("unknown", "unknown", (tiny(),))


def test_plugin_has_distribution_name_and_version(plant: Plant) -> None:
    points = [plant(good, name=name)._for(SimpleNamespace(name=f"zoo-{name}", version="2")) for name in "ba"]  # type: ignore[attr-defined]
    assert [(plugin.distribution, plugin.version) for plugin in discover(points)] == [("zoo-a", "2"), ("zoo-b", "2")]


def test_the_installed_plugins_are_all_sound() -> None:
    assert {plugin.name: plugin.error for plugin in discover() if plugin.error} == {}
