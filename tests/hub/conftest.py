"""A hub on the loopback: as much of the Hugging Face Hub's HTTP interface as downloads and uploads use."""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from zoo.cli import main
from zoo.registry.discovery import Plugin
from zoo.registry.registry import Registry

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_secretsecretsecretsecretsecretsec"


class Hub:
    """What the server holds, and how it misbehaves.

    Attributes:
        repositories: `OWNER/NAME` to file name to content.
        uploaded: content by SHA-256, of large files before they are committed.
        wrong_hash, cut: names of files whose stated hash is wrong, or that are cut off half-way.
        private: whether a token is needed.
        requests: method and path of each.
    """

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.uploaded: dict[str, bytes] = {}
        self.wrong_hash: set[str] = set()
        self.cut: set[str] = set()
        self.private = False
        self.requests: list[str] = []
        self.endpoint = ""


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def handler_of(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: Any) -> None:
            pass

        def answer(self, data: Any, status: int = 200, **headers: str) -> None:
            content = data if isinstance(data, bytes) else json.dumps(data).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def missing(self, code: str) -> None:
            self.answer({"error": code}, 404, X_Error_Code=code)

        def dispatch(self) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if hub.private and self.command != "PUT" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer({"error": "Repository not found"}, 401, X_Error_Code="RepoNotFound")
            elif self.command == "POST":
                self.post(self.path.partition("?")[0], body)
            elif self.command == "PUT":
                hub.uploaded[self.path.rpartition("/")[2]] = body
                self.answer({})
            else:
                self.get(self.path.partition("?")[0])

        do_GET = do_HEAD = do_POST = do_PUT = dispatch  # noqa: N815

        def get(self, path: str) -> None:
            if info := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
                name, revision = info.groups()
                if name not in hub.repositories:
                    self.missing("RepoNotFound")
                elif revision not in (None, "main", "v1", COMMIT):
                    self.missing("RevisionNotFound")
                else:
                    files = hub.repositories[name]
                    self.answer(
                        {
                            "id": name,
                            "modelId": name,
                            "sha": COMMIT,
                            "siblings": [self.about(*item) for item in files.items()],
                        }
                    )
                return
            match = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path)
            content = hub.repositories.get(match[1], {}).get(match[2]) if match else None
            if match is None or content is None:
                self.missing("EntryNotFound")
                return
            stated = sha(b"another") if match[2] in hub.wrong_hash else sha(content)
            headers = {"ETag": f'"{stated}"', "X_Repo_Commit": COMMIT, "Accept_Ranges": "bytes"}
            if match[2] in hub.cut and self.command == "GET":
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("ETag", headers["ETag"])
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return
            self.answer(content, **headers)

        def about(self, name: str, content: bytes) -> dict[str, Any]:
            stated = sha(b"another") if name in hub.wrong_hash else sha(content)
            large = {"lfs": {"sha256": stated, "size": len(content), "pointerSize": 1}} if "safe" in name else {}
            return {"rfilename": name, "size": len(content), "blobId": "0" * 40, **large}

        def post(self, path: str, body: bytes) -> None:
            data = json.loads(body) if not path.startswith("/api/models") or "preupload" in path else None
            if path == "/api/repos/create":
                name = f"{data['organization']}/{data['name']}" if data.get("organization") else data["name"]
                hub.repositories.setdefault(name, {})
                self.answer({"url": f"{hub.endpoint}/{name}", "id": "1", "name": name})
            elif path == "/api/validate-yaml":
                self.answer({"errors": [], "warnings": []})
            elif "/preupload/" in path:
                modes = [("lfs" if "safe" in each["path"] else "regular", each["path"]) for each in data["files"]]
                self.answer({"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for m, p in modes]})
            elif path.endswith("/info/lfs/objects/batch"):
                objects = [
                    {**each, "actions": {"upload": {"href": f"{hub.endpoint}/upload/{each['oid']}"}}}
                    for each in data["objects"]
                ]
                self.answer({"transfer": "basic", "objects": objects})
            elif "/commit/" in path:
                self.commit(path, [json.loads(line) for line in body.splitlines()])
            else:
                self.missing("Unknown")

        def commit(self, path: str, lines: list[dict[str, Any]]) -> None:
            name = "/".join(path.split("/")[3:5])
            for line in lines:
                value = line["value"]
                if line["key"] == "file":
                    hub.repositories[name][value["path"]] = base64.b64decode(value["content"])
                if line["key"] == "lfsFile":
                    hub.repositories[name][value["path"]] = hub.uploaded[value["oid"]]
            self.answer({"commitUrl": f"{hub.endpoint}/{name}/commit/{COMMIT}", "commitOid": COMMIT})

    return Handler


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An empty hub, which the hub library uses in this test, without a token."""
    from huggingface_hub import constants

    state = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler_of(state))
    state.endpoint = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", state.endpoint)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    for name, value in (
        ("HF_HUB_DISABLE_XET", True),
        ("HF_HUB_OFFLINE", False),
        ("HF_HUB_CACHE", str(tmp_path / "hub")),
        ("HF_TOKEN_PATH", str(tmp_path / "token")),
        ("HF_STORED_TOKENS_PATH", str(tmp_path / "tokens")),
    ):
        monkeypatch.setattr(constants, name, value)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)  # before it tries again
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield state
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def with_hub(registry: Registry) -> Registry:
    """The installed plugins, and this one where it is not installed yet."""
    from zoo_hub.plugin import zoo_specs

    if any(plugin.name == "hub" for plugin in registry.plugins):
        return registry
    return Registry([*registry.plugins, Plugin("hub", "zoo-kit", "0", tuple(zoo_specs()))])


@pytest.fixture(autouse=True)
def in_a_folder(with_hub: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find this plugin, and write below a folder of the test's own."""
    monkeypatch.setattr(main, "discover", lambda: list(with_hub.plugins))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.delenv("ZOO_WEIGHTS", raising=False)


@pytest.fixture
def weights(registry: Registry, tmp_path: Path, make_weights: Callable[..., Path]) -> Path:
    """A weights file of LeNet-5."""
    return make_weights("lenet5", tmp_path / "lenet5.made.safetensors")


@pytest.fixture
def make_weights(registry: Registry) -> Callable[..., Path]:
    """Write a weights file with fresh weights."""
    from zoo.files.weights import save_weights
    from zoo.models.load import open_model

    def make(architecture: str, path: Path) -> Path:
        fresh = open_model(registry, architecture)
        save_weights(path, fresh.module.state_dict(), fresh.card)
        return path

    return make
