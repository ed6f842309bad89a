"""Collections: many architectures, of which each spec is made when it is looked up."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

import zoo
from zoo import Architecture, Collection, NameConflict, PluginError, UnknownName
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry

made: list[str] = []


def names() -> Iterable[str]:
    return ("b", "a")


def architecture(name: str) -> Architecture:
    made.append(name)
    return Architecture(name=f"many/{name}", summary="one", build="x:y", input_shape=(3, 8, 8), requires=("pytest",))


def broken() -> Any:
    raise OSError("no index")


def strange() -> Any:
    return ["A b"]


def twice() -> Any:
    return ["a", "a"]


def other(name: str) -> Architecture:
    return Architecture(name=f"many/{name}x", summary="one", build="x:y", input_shape=(3, 8, 8))


def collection(names: str = "names", architecture: str = "architecture", name: str = "many") -> Collection:
    refs = {"names": f"{__name__}:{names}", "architecture": f"{__name__}:{architecture}"}
    return Collection(name=name, summary="many", **refs)


def eager(name: str) -> Architecture:
    return Architecture(name=name, summary="s", build="x:y", input_shape=(3, 8, 8))


def registry_of(*specs: zoo.Spec, warn: Callable[[str], object] = print, **plugins: Iterable[zoo.Spec]) -> Registry:
    every = [Plugin("one", "zoo-one", "1", specs)]
    every += [Plugin(name, f"zoo-{name}", "1", tuple(own)) for name, own in plugins.items()]
    return Registry(every, prefer=(), warn=warn)


@pytest.fixture(autouse=True)
def none_made() -> Iterator[None]:
    made.clear()
    yield


def test_one_spec_is_made_when_it_is_looked_up() -> None:
    registry = registry_of(collection(), eager("resnet"))
    assert registry.names(Architecture) == ["many/a", "many/b", "resnet"]
    assert registry.find(Architecture, "resnet").spec.name == "resnet"
    assert [(entry.spec.name, count) for entry, count in registry.collections()] == [("many", 2)]
    assert made == []
    for name in ("many/a", "one:many/a", "zoo-one/one:many/a"):
        assert registry.find(Architecture, name).spec.name == "many/a"
    assert made == ["a"]
    assert [entry.spec.name for entry in registry.entries(Architecture)] == ["many/a", "many/b", "resnet"]
    assert zoo.list_models("many/*", registry=registry) == ["many/a", "many/b"]


def test_unknown_member_gets_close_matches_without_specs() -> None:
    with pytest.raises(UnknownName) as caught:
        registry_of(collection()).find(Architecture, "many/c")
    assert "many/a" in caught.value.next_step and made == []


def test_two_plugins_with_one_member_conflict() -> None:
    registry = registry_of(collection(), two=[collection()], three=[eager("many/b")])
    with pytest.raises(NameConflict, match="zoo-two"):
        registry.find(Architecture, "many/a")
    assert registry.find(Architecture, "zoo-two:many/a").plugin.name == "two"
    claims = [[entry.qualified for entry in entries] for entries in registry.conflicts()]
    assert sorted(sorted(each) for each in claims) == [
        ["zoo-one:many/a", "zoo-two:many/a"],
        ["zoo-one:many/b", "zoo-three:many/b", "zoo-two:many/b"],
    ]
    assert zoo.list_models("many/a", registry=registry) == ["zoo-one:many/a", "zoo-two:many/a"]


@pytest.mark.parametrize(("ref", "reason"), [("broken", "no index"), ("strange", "A b"), ("twice", "twice")])
def test_a_broken_collection_is_left_out_with_a_warning(ref: str, reason: str) -> None:
    warned: list[str] = []
    registry = registry_of(collection(names=ref), eager("resnet"), warn=warned.append)
    assert registry.names(Architecture) == ["resnet"] and registry.collections() == []
    assert len(warned) == 1 and reason in warned[0] and "zoo-one" in warned[0]
    with pytest.raises(PluginError, match=reason):
        registry.find(Architecture, "many/a")


def test_a_collection_that_makes_another_spec_is_an_error() -> None:
    with pytest.raises(PluginError, match="many/ax"):
        registry_of(collection(architecture="other")).find(Architecture, "many/a")


def test_raise_errors_raises_the_collections_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_RAISE_ERRORS", "1")
    with pytest.raises(OSError, match="no index"):
        registry_of(collection(names="broken")).find(Architecture, "many/a")
