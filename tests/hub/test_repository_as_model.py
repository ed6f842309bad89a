"""`hf-hub:OWNER/NAME` as a MODEL, against a hub on the loopback: downloaded on request, once, and then without it."""

from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.contract.errors import DownloadNeeded
from zoo.registry.hub.repositories import parse_repository

NAME = "me/lenet5.mine"
REPO = f"hf-hub:{NAME}"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pushed(run_zoo: Any, hub: Any, weights: Path) -> Any:
    assert run_zoo("push", str(weights), REPO).code == 0
    hub.requests.clear()
    return hub


def test_it_is_exported_in_one_command_and_downloaded_once(run_zoo: Any, pushed: Any, weights: Path) -> None:
    ran = run_zoo("export", REPO, "--download", "-f", "torchscript")
    assert ran.code == 0, ran.err
    assert Path("exports/lenet5.mine/model.torchscript").is_file()
    assert parse_repository(REPO).cached.read_bytes() == weights.read_bytes()
    pushed.requests.clear()
    assert run_zoo("summary", REPO, "--download").code == 0
    assert zoo.load(REPO).card.digest == zoo.load(weights).card.digest
    assert run_zoo("show", REPO, "--json").code == 0
    assert pushed.requests == []


def test_nothing_is_downloaded_unasked(run_zoo: Any, pushed: Any, cache: Path) -> None:
    for arguments in (("export", REPO), ("summary", REPO), ("show", REPO), ("weights", "show", REPO)):
        ran = run_zoo(*arguments)
        assert ran.code == 1 and "--download" in ran.err, ran.err
    with pytest.raises(DownloadNeeded):
        zoo.load(REPO)
    assert pushed.requests == [] and not list(cache.rglob("*.safetensors"))


def test_a_revision_is_another_file(run_zoo: Any, pushed: Any) -> None:
    assert run_zoo("summary", f"{REPO}@v1", "--download").code == 0
    assert not parse_repository(REPO).cached.exists()
    assert parse_repository(f"{REPO}@v1").cached.is_file()


@pytest.mark.parametrize(
    "name",
    ["hf-hub:", "hf-hub:a", "hf-hub:../..", "hf-hub:a/b/c", "hf-hub:a/b@", "hf-hub:a/../b", f"{REPO}@{'x' * 151}"],
)
def test_what_is_no_repository_is_refused(run_zoo: Any, hub: Any, name: str) -> None:
    ran = run_zoo("summary", f"hf-hub:{name}", "--download")
    assert ran.code == 2 and ran.err.startswith("error: ")
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["..", "../../x", "%2e%2e", "a\0b", "é" * 20])
def test_the_file_stays_in_the_cache(cache: Path, revision: str) -> None:
    path = parse_repository(f"{REPO}@{revision}").cached
    assert path.parents[2] == cache / "hub" and path.parent.name.startswith("lenet5.mine@")


def test_a_failed_download_leaves_no_model(run_zoo: Any, pushed: Any) -> None:
    pushed.cut.add("model.safetensors")
    assert run_zoo("summary", REPO, "--download").code == 1
    assert not parse_repository(REPO).cached.exists()
    pushed.cut.clear()
    assert run_zoo("summary", REPO, "--download").code == 0
