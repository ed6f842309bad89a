"""Looking up a name: conflicts name both sides, unknown names get close matches, missing packages the pip line."""

import re

import pytest

from zoo.contract.errors import MissingPackage, NameConflict, UnknownName
from zoo.contract.formats import ExportFormat
from zoo.contract.specs import Architecture, Command, Dataset, Loss, Spec
from zoo.registry.discovery import Plugin
from zoo.registry.problems import problems
from zoo.registry.registry import Registry

KINDS = {
    Architecture: {"build": "a:b", "input_shape": (3, 8, 8)},
    Loss: {"build": "a:b"},
    Dataset: {"load": "a:b"},
    ExportFormat: {"export": "a:b", "runner": "a:b", "suffix": ".x"},
    Command: {"run": "a:b"},
}


def spec(kind: type[Spec] = Architecture, name: str = "tiny", requires: tuple[str, ...] = ()) -> Spec:
    return kind(name=name, summary="s", requires=requires, **KINDS[kind])


def plugin(distribution: str, *specs: Spec, name: str = "") -> Plugin:
    return Plugin(name or distribution, distribution, "1", specs)


def ways(error: NameConflict) -> list[str]:
    """The qualified names that the error offers."""
    return re.findall(r"[\w/-]+:\w+", error.next_step)


def test_a_name_claimed_twice_is_an_error_that_names_both() -> None:
    registry = Registry([plugin("zoo-a", spec()), plugin("zoo-b", spec())], prefer=())
    with pytest.raises(NameConflict) as caught:
        registry.find(Architecture, "tiny")
    assert "zoo-a" in caught.value.cause and "zoo-b" in caught.value.cause
    assert ways(caught.value) == ["zoo-a:tiny", "zoo-b:tiny"]
    assert [registry.find(Architecture, name).plugin.distribution for name in ways(caught.value)] == ["zoo-a", "zoo-b"]


def test_two_plugins_of_one_distribution_are_told_apart() -> None:
    registry = Registry([plugin("kit", spec(), name="one"), plugin("kit", spec(), name="two")], prefer=())
    with pytest.raises(NameConflict) as caught:
        registry.find(Architecture, "kit:tiny")
    assert ways(caught.value) == ["kit/one:tiny", "kit/two:tiny"]
    assert registry.find(Architecture, "two:tiny").plugin.name == "two"
    assert registry.find(Architecture, "kit/two:tiny").plugin.name == "two"


def test_offered_names_work_if_plugin_is_named_like_another() -> None:
    plugins = [plugin("classic", spec(), name="x"), plugin("other", spec(), name="classic")]
    registry = Registry(plugins, prefer=())
    with pytest.raises(NameConflict) as caught:
        registry.find(Architecture, "tiny")
    result = [registry.find(Architecture, way).plugin.distribution for way in ways(caught.value)]
    assert result == ["classic", "other"]


def test_conflicts_list_all_claimants_per_kind() -> None:
    registry = Registry([plugin("a", spec(), spec(Loss)), plugin("b", spec())])
    assert [[entry.qualified for entry in entries] for entries in registry.conflicts()] == [["a:tiny", "b:tiny"]]
    assert registry.find(Loss, "tiny").spec == spec(Loss)
    assert len(registry.entries(Architecture)) == 2


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_of_any_kind_gets_close_matches(kind: type[Spec]) -> None:
    registry = Registry([plugin("a", spec(kind, "resnet18"), spec(kind, "vgg11"))])
    for typo in ("resnet81", "ResNet18", "nowhere:resnet18"):
        with pytest.raises(UnknownName) as caught:
            registry.find(kind, typo)
        assert typo in caught.value.cause
        assert kind.kind in caught.value.cause
        assert caught.value.next_step == "Did you mean resnet18?"


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_name_points_to_a_listing(kind: type[Spec]) -> None:
    from zoo.cli.commands.list import KINDS as LISTED

    with pytest.raises(UnknownName) as caught:
        Registry([]).find(kind, "zzz")
    assert caught.value.next_step.split("`")[1].removeprefix("zoo list ") in LISTED


def test_a_missing_package_gets_the_exact_pip_line() -> None:
    wants = ("no-such-a>=1.2", "no-such-b[extra]", "pytest")
    registry = Registry([plugin("a", spec(requires=wants))])
    with pytest.raises(MissingPackage) as caught:
        registry.find(Architecture, "tiny")
    assert caught.value.next_step == "Run: pip install 'no-such-a>=1.2' 'no-such-b[extra]'"  # > alone would redirect
    assert "no-such-a>=1.2 and no-such-b[extra]" in caught.value.cause


def test_what_lacks_a_package_can_still_be_shown() -> None:
    registry = Registry([plugin("a", spec(requires=("no-such-a",)))])
    assert registry.look_up(Architecture, "tiny").spec.requires == ("no-such-a",)


@pytest.mark.parametrize("package", ["pillow", "Pillow>=10", "pytest-xdist", "torch ~= 2.0", "numpy<99", "onnxruntime"])
def test_a_package_that_is_installed_is_found_by_its_pip_name(package: str) -> None:
    assert Registry([plugin("a", spec(requires=(package,)))]).find(Architecture, "tiny")


def test_a_plugin_that_is_left_out_provides_nothing() -> None:
    assert Registry([Plugin("a", "a", "1", (), "ImportError: x")]).entries(Architecture) == []


def test_entries_are_sorted_by_name() -> None:
    registry = Registry([plugin("a", spec(name="c"), spec(name="a")), plugin("b", spec(name="b"))])
    assert [entry.spec.name for entry in registry.entries(Architecture)] == ["a", "b", "c"]


OWN = "zoo-kit"


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_of_ours_means_ours(kind: type[Spec]) -> None:
    registry = Registry([plugin("aaa", spec(kind)), plugin(OWN, spec(kind), name="core")], prefer=())
    assert registry.find(kind, "tiny").plugin.distribution == OWN
    assert registry.find(kind, "aaa:tiny").plugin.distribution == "aaa"
    assert [entry.qualified for entry in registry.defaults(kind)] == ["zoo-kit:tiny"]
    assert registry.recorded_name(kind, "tiny") == "tiny"
    assert [entry.qualified for entry in registry.shadowed()] == ["aaa:tiny"]
    text = " ".join(problems(registry))
    assert "aaa:tiny" in text and kind.kind in text


def test_a_preference_comes_before_ours() -> None:
    registry = Registry([plugin("aaa", spec()), plugin(OWN, spec())], prefer=("aaa:tiny",))
    assert registry.find(Architecture, "tiny").plugin.distribution == "aaa"
    assert registry.recorded_name(Architecture, "tiny") == "aaa/aaa:tiny"
    assert not registry.shadowed() and not problems(registry)


def test_two_of_ours_with_one_name_still_conflict() -> None:
    registry = Registry([plugin(OWN, spec(), name="one"), plugin(OWN, spec(), name="two")], prefer=())
    with pytest.raises(NameConflict):
        registry.find(Architecture, "tiny")
    assert not registry.shadowed()
