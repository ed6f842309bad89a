"""`ZOO_PLUGINS` and `plugins` in config.toml: what is not listed is not imported; a name of no plugin is reported."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from platformdirs import user_config_path

from zoo.api.installed import installed_registry
from zoo.contract.errors import UsageError
from zoo.registry import preferences
from zoo.registry.discovery import Plugin, discover, location
from zoo.registry.problems import problems
from zoo.registry.registry import Registry

RunZoo = Callable[..., Any]
SOURCE = """
from pathlib import Path
Path({marker!r}).touch()
from zoo import Loss, hookimpl
@hookimpl
def zoo_specs():
    yield Loss(name={name!r}, summary="Made up", build="a:b")
"""


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration file of this test would lie. There is none yet."""
    for name in (preferences.PLUGINS, preferences.PREFER):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr("sys.platform", "linux")
    path = preferences.config_file()
    path.parent.mkdir(parents=True)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two distributions, `alpha` and `beta-kit`, whose plugins leave a marker in the returned folder when imported."""
    site = tmp_path / "site"
    for number, (distribution, module) in enumerate((("alpha", "alpha_plugin"), ("Beta_Kit", "beta_plugin"))):
        name = f"{tmp_path.name}_{module}".replace("-", "_")  # imported once in a process
        info = site / f"{distribution}-1.{number}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.{number}\n")
        (info / "entry_points.txt").write_text(f"[zoo]\n{module.partition('_')[0]} = {name}\n")
        (site / f"{name}.py").write_text(SOURCE.format(marker=str(tmp_path / f"{module}.ran"), name=module))
    monkeypatch.syspath_prepend(str(site))
    return tmp_path


def imported(folder: Path) -> set[str]:
    return {path.stem.partition("_")[0] for path in folder.glob("*.ran")}


def test_all_plugins_are_imported_by_default(installed: Path) -> None:
    assert all(plugin.allowed for plugin in discover())
    assert imported(installed) == {"alpha", "beta"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alpha", {"alpha"}),
        ("alpha/alpha", {"alpha"}),
        ("alpha/other", set()),
        ("beta-kit", {"beta"}),
        (" BETA.kit/beta , alpha", {"alpha", "beta"}),
        ("beta", set()),  # an entry point is not a distribution
        ("", set()),
    ],
)
def test_only_what_the_variable_lists_is_imported(
    text: str, expected: set[str], installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", text)
    plugins = discover()
    assert imported(installed) == expected
    assert {plugin.name for plugin in plugins if plugin.specs} >= {"core", "export", *expected}
    left_out = [plugin for plugin in plugins if not plugin.allowed]
    assert {plugin.name for plugin in left_out} == {"alpha", "beta"} - expected
    assert all(plugin.specs == () and plugin.error == "" for plugin in left_out)


def test_the_configuration_file_lists_plugins(installed: Path, config: Path) -> None:
    config.write_text('plugins = ["beta-kit/beta"]')
    discover()
    assert imported(installed) == {"beta"}


def test_the_variable_replaces_the_file(installed: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text('plugins = ["beta-kit"]')
    monkeypatch.setenv("ZOO_PLUGINS", "alpha")
    discover()
    assert imported(installed) == {"alpha"}


@pytest.mark.parametrize("text", ["plugins = 3", "plugins = [3]", "plugins = ['a b']", "plugins = ", "[[" * 2000])
def test_a_malformed_file_imports_nothing(text: str, installed: Path, config: Path) -> None:
    config.write_text(text)
    with pytest.raises(UsageError, match=r"config\.toml"):
        discover()
    assert imported(installed) == set()


@pytest.mark.parametrize("text", ["alpha:loss", "../alpha", "alpha/", "alpha beta"])
def test_a_malformed_variable_imports_nothing(text: str, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", text)
    with pytest.raises(UsageError, match="ZOO_PLUGINS"):
        discover()
    assert imported(installed) == set()


def test_a_folder_as_the_file_is_refused(config: Path) -> None:
    config.mkdir()
    with pytest.raises(UsageError, match=r"config\.toml"):
        preferences.allow_list()


def test_a_misspelt_name_is_reported(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "alpah,beta-kit")
    (text,) = problems(Registry(discover()))
    assert "ZOO_PLUGINS" in text and "alpah" in text and "alpha?" in text


def test_a_preference_of_no_plugin_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PREFER", "zoo-kit:resnet18,absent:resnet18,zoo-kit:no_such_name,losses:focal")
    texts = problems(Registry(discover()))
    assert [name for name in ("absent:resnet18", "zoo-kit:no_such_name") if any(name in text for text in texts)] == [
        "absent:resnet18",
        "zoo-kit:no_such_name",
    ]
    assert len(texts) == 2


def test_python_warns_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PREFER", "absent:resnet18")
    installed_registry.cache_clear()
    try:
        with pytest.warns(UserWarning, match="absent:resnet18"):
            installed_registry()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            installed_registry()
    finally:
        installed_registry.cache_clear()


def test_zoo_plugins_shows_what_is_not_allowed(
    installed: Path, run_zoo: RunZoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "alpha")
    ran = run_zoo("plugins", "--json")
    result = json.loads(ran.out)
    rows = {row["plugin"]: row for row in result["plugins"]}
    assert result["allow_list"] == {"source": "ZOO_PLUGINS", "plugins": ["alpha"]}
    assert (rows["alpha"]["allowed"], rows["beta"]["allowed"], rows["core"]["allowed"]) == (True, False, True)
    assert rows["beta"]["distribution"] == "Beta_Kit" and rows["beta"]["version"] == "1.1"
    assert rows["beta"]["file"] == str(installed / "site" / f"{rows['beta']['module']}.py")
    assert imported(installed) == {"alpha"}
    assert "not allowed" in run_zoo("plugins").out


def test_zoo_plugins_shows_where_each_one_lies(run_zoo: RunZoo) -> None:
    ran = run_zoo("plugins")
    assert ran.code == 0 and "ZOO_PLUGINS" in ran.err
    for row in json.loads(run_zoo("plugins", "--json").out)["plugins"]:
        assert Path(row["file"]).is_file() and row["module"] in ran.out and row["file"] in ran.out


def test_doctor_names_plugins_that_are_not_allowed(
    installed: Path, run_zoo: RunZoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOO_PLUGINS", "beta-kit")
    assert set(json.loads(run_zoo("doctor", "--json").out)["plugins_left_out"]) == {"alpha"}


def test_location_of_a_module_that_is_gone_is_empty() -> None:
    assert location(Plugin("gone", "gone", "1", module="no_such_module_anywhere.plugin")) == ""
    assert location(Plugin("none", "none", "1")) == ""


@pytest.mark.parametrize("variable", [None, "", "  ", "relative/folder", "/an/absolute/folder"])
def test_the_configuration_file_lies_where_platformdirs_says(
    variable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    if variable is None:
        monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    else:
        monkeypatch.setenv("XDG_CONFIG_HOME", variable)
    assert preferences.config_file() == user_config_path("zoo") / "config.toml"
