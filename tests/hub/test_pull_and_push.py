"""`zoo pull` and `zoo push`, against a hub on the loopback: what goes up comes down, and what fails leaves nothing."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.files.card import read_card
from zoo.registry.hub.repositories import parse_repository

COMMIT = "0123456789abcdef0123456789abcdef01234567"  # of every revision of the hub of these tests
TOKEN = "hf_secretsecretsecretsecretsecretsec"
NAME = "me/lenet5.mine"
REPO = f"hf-hub:{NAME}"


def failed(ran: Any, code: int = 1) -> str:
    """The error of a command, which leaves no file and shows no token."""
    assert (ran.code, ran.out) == (code, "") and ran.err.startswith("error: ") and "\n  next: " in ran.err
    assert [path for path in Path().rglob("*") if path.is_file()] == []
    assert TOKEN not in ran.err
    return ran.err


def test_a_pushed_file_comes_back_byte_for_byte(run_zoo, hub, weights: Path) -> None:
    ran = run_zoo("push", str(weights), REPO, "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["pushed_to"].endswith(COMMIT)
    assert hub.repositories[NAME].keys() == {"config.json", "model.safetensors", "README.md"}
    ran = run_zoo("pull", REPO, "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["file"] == "weights/lenet5.mine.safetensors"
    assert Path(result["file"]).read_bytes() == weights.read_bytes()
    assert result["digest"] == read_card(weights)[0].card_digest
    assert run_zoo("pull", REPO).code == 1  # it exists
    assert run_zoo("pull", REPO, "--force").code == 0
    assert run_zoo("pull", REPO, "--revision", "v1", "-o", "other.safetensors").code == 0
    assert Path("other.safetensors").read_bytes() == weights.read_bytes()


def test_no_other_request_is_made_than_for_two_files(run_zoo, hub, weights: Path) -> None:
    assert run_zoo("push", str(weights), REPO).code == 0
    hub.requests.clear()
    assert run_zoo("pull", REPO).code == 0
    place = f"/{NAME}/resolve/{COMMIT}"
    paths = {request.split("?")[0] for request in hub.requests}
    assert paths <= {
        f"GET /api/models/{NAME}",
        *(f"{method} {place}/{name}" for method in ("HEAD", "GET") for name in ("config.json", "model.safetensors")),
    }


@pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
def test_a_repository_without_a_file_is_refused(run_zoo, hub, weights: Path, missing: str) -> None:
    run_zoo("push", str(weights), REPO)
    del hub.repositories[NAME][missing]
    assert missing in failed(run_zoo("pull", REPO))


def test_a_wrong_hash_is_refused(run_zoo, hub, weights: Path) -> None:
    run_zoo("push", str(weights), REPO)
    hub.wrong_hash.add("model.safetensors")
    assert "SHA-256" in failed(run_zoo("pull", REPO))


def test_a_half_download_leaves_nothing(run_zoo, hub, weights: Path) -> None:
    run_zoo("push", str(weights), REPO)
    hub.cut.add("model.safetensors")
    assert NAME in failed(run_zoo("pull", REPO))


def test_damaged_content_is_refused(run_zoo, hub, weights: Path) -> None:
    run_zoo("push", str(weights), REPO)
    files = hub.repositories[NAME]
    files["model.safetensors"] = files["model.safetensors"][:-4] + b"\x00\x00\x80\x3f"
    assert "digest" in failed(run_zoo("pull", REPO))


@pytest.mark.parametrize(
    ("name", "config", "named"),
    [
        ("config.json", b"{", "config.json"),
        ("config.json", b'{"architecture": "resnet18", "num_classes": 0}', "num_classes"),
        ("config.json", b'{"architecture": "resnet18", "num_classes": 3, "label_names": ["a", "b"]}', "label_names"),
        ("model.safetensors", b"\x80\x04 pickle", "pickle"),
    ],
)
def test_files_that_are_something_else_are_refused(run_zoo, hub, weights, name, config, named: str) -> None:
    import safetensors.torch

    run_zoo("push", str(weights), REPO)
    tensors = safetensors.torch.load_file(weights)
    hub.repositories[NAME]["model.safetensors"] = safetensors.torch.save(tensors)  # without a card
    hub.repositories[NAME][name] = config
    assert named in failed(run_zoo("pull", REPO))


def test_no_repository_no_revision_and_no_network(run_zoo, hub, weights: Path, monkeypatch) -> None:
    assert "me/nothing" in failed(run_zoo("pull", "hf-hub:me/nothing"))
    run_zoo("push", str(weights), REPO)
    assert "nowhere" in failed(run_zoo("pull", f"{REPO}@nowhere"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "network" in failed(run_zoo("pull", REPO))
    assert "network" in failed(run_zoo("push", str(weights), REPO))


def test_the_token_is_found_and_never_shown(run_zoo, hub, weights: Path, monkeypatch) -> None:
    hub.private = True
    assert "hf auth login" in failed(run_zoo("push", str(weights), REPO))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    ran = run_zoo("push", str(weights), REPO)
    assert ran.code == 0 and TOKEN not in ran.out + ran.err
    monkeypatch.setenv("HF_TOKEN", f"{TOKEN}x")
    assert REPO in failed(run_zoo("pull", REPO))


def test_a_full_disk_leaves_nothing(run_zoo, hub, weights: Path, monkeypatch) -> None:
    run_zoo("push", str(weights), REPO)

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("zoo.files.atomic.os.fsync", full)
        assert "space" in failed(run_zoo("pull", REPO))
    monkeypatch.setattr("huggingface_hub.file_download.http_get", full)
    assert "space" in failed(run_zoo("pull", REPO))


@pytest.mark.parametrize("text", ["me/x", "hf-hub:me", "hf-hub:me/x/y", "hf-hub:me/x@", "hf-hub:../x", "hf-hub:me/-x"])
def test_names_that_are_none_are_usage_errors(run_zoo, weights: Path, text: str) -> None:
    failed(run_zoo("pull", text), 2)
    failed(run_zoo("push", str(weights), text), 2)


def test_two_revisions_are_a_usage_error(run_zoo) -> None:
    failed(run_zoo("pull", f"{REPO}@a", "--revision", "b"), 2)
    assert parse_repository(f"{REPO}@a", "a").revision == parse_repository(REPO, "a").revision == "a"


def test_only_weights_are_pushed(run_zoo, hub) -> None:
    failed(run_zoo("push", "lenet5", REPO))
    assert hub.requests == []


def test_python_does_what_the_commands_do(hub, weights: Path, with_hub, tmp_path: Path, capfd) -> None:
    pushed = zoo.push(weights, REPO, registry=with_hub)
    assert (pushed.path, pushed.destination.rpartition("/")[2]) == (weights, COMMIT)
    pulled = zoo.pull(REPO, registry=with_hub)
    assert (pulled.path, pulled.name, pulled.commit) == (
        Path("weights/lenet5.mine.safetensors"),
        "lenet5.mine",
        COMMIT,
    )
    assert pulled.path.read_bytes() == weights.read_bytes() and pulled.card == read_card(weights)[0]
    folder = zoo.push(weights, f"local-dir:{tmp_path / 'folder'}", registry=with_hub)
    assert folder.destination == str(tmp_path / "folder")
    other = zoo.pull(REPO, output=tmp_path / "other.safetensors", revision="v1", registry=with_hub)
    assert other.path == tmp_path / "other.safetensors" and other.path.is_file()
    assert capfd.readouterr() == ("", "")


def test_python_raises_what_the_commands_explain(hub, weights: Path, with_hub, tmp_path: Path) -> None:
    with pytest.raises(zoo.WeightsError, match="me/nothing"):
        zoo.pull("hf-hub:me/nothing", registry=with_hub)
    zoo.push(weights, REPO, registry=with_hub)
    zoo.pull(REPO, registry=with_hub)
    with pytest.raises(zoo.OutputError):
        zoo.pull(REPO, registry=with_hub)
    calls = [
        lambda: zoo.pull(3, registry=with_hub),  # type: ignore[arg-type]
        lambda: zoo.pull(REPO, revision=3, registry=with_hub),  # type: ignore[arg-type]
        lambda: zoo.pull("me/x", registry=with_hub),
        lambda: zoo.push(weights, "me/x", registry=with_hub),
        lambda: zoo.push(weights, f"local-dir:{tmp_path / 'x'}", private=True, registry=with_hub),
        lambda: zoo.push(3, REPO, registry=with_hub),  # type: ignore[arg-type]
        lambda: zoo.push(weights, REPO, force="yes", registry=with_hub),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(zoo.UsageError):
            call()
    assert not (tmp_path / "x").exists()
