"""A signature holds for one key and exactly the files that were signed: everything else is refused with exit code 3."""

import base64
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import zoo
from zoo.cli.main import run
from zoo.contract.errors import DifferenceError, MissingPackage, UsageError
from zoo_export.signatures.names import SIGNATURE

RunZoo = Callable[..., Any]
ROOT = Path(__file__).parents[2]
WEIGHTS = "lenet5.digits.safetensors"


def write_keys(folder: Path, name: str, key: Any = None, password: str = "") -> tuple[Path, Path]:
    """Write a pair of keys, on the curve P-256 by default, and return the paths of the private and the public one."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    protection = BestAvailableEncryption(password.encode()) if password else NoEncryption()
    private, public = folder / f"{name}-private.pem", folder / f"{name}-public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_keys(tmp_path_factory.mktemp("keys"), "own")


@pytest.fixture(scope="session")
def signed(tmp_path_factory: pytest.TempPathFactory, keys: tuple[Path, Path]) -> Path:
    """An export folder, signed. Tests work on copies."""
    folder = tmp_path_factory.mktemp("signed") / "lenet5.digits"
    assert run(["export", str(ROOT / "weights" / WEIGHTS), "-f", "torchscript", "-o", str(folder)]) == 0
    assert run(["sign", str(folder), "--key", str(keys[0])]) == 0
    return folder


@pytest.fixture
def folder(signed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(signed, tmp_path / "copy"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "weights" / WEIGHTS, tmp_path / WEIGHTS))


def refused(ran: Any, *names: str) -> None:
    """The command ended with exit code 3 and named each of `names`."""
    assert (ran.code, ran.out) == (3, ""), ran.err
    assert "Traceback" not in ran.err
    assert [name for name in names if name not in ran.err] == []


def test_a_signed_folder_verifies(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    ran = run_zoo("verify", str(folder), "--key", str(keys[1]), "--json")
    assert ran.code == 0, ran.err
    result = json.loads(ran.out)
    assert result["verdict"] == "pass" and len(result["signed_by"]) == 64
    ran = run_zoo("verify", str(folder), "--key", str(keys[1]))
    assert result["signed_by"] in ran.out


def test_a_signature_does_not_disturb_other_checks(folder: Path, run_zoo: RunZoo) -> None:
    assert run_zoo("verify", str(folder)).code == 0


def test_a_renamed_folder_verifies(folder: Path, keys: tuple[Path, Path]) -> None:
    moved = folder.rename(folder.with_name("another.name"))
    assert zoo.verify(moved, key=keys[1]).signed_by


def test_a_link_to_a_signed_folder_verifies(folder: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert zoo.verify(tmp_path / "link", key=keys[1]).signed_by


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda curve: curve.name)
def test_weights_are_signed_and_verified(curve: Any, weights: Path, tmp_path: Path, run_zoo: RunZoo) -> None:
    private, public = write_keys(tmp_path, "curve", ec.generate_private_key(curve))
    ran = run_zoo("sign", str(weights), "--key", str(private))
    assert (ran.code, ran.out) == (0, f"{weights}.sig\n"), ran.err
    ran = run_zoo("verify", str(weights), "--key", str(public))
    assert ran.code == 0 and "digest" in ran.out, ran.err
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    refused(run_zoo("verify", str(weights), "--key", str(public)), WEIGHTS)


def test_a_single_artifact_is_signed(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    artifact = folder / "model.torchscript"
    assert run_zoo("sign", str(artifact), "--key", str(keys[0])).code == 0
    arguments = ("--against", str(ROOT / "weights" / WEIGHTS), "--key", str(keys[1]))
    assert run_zoo("verify", str(artifact), *arguments).code == 0
    artifact.write_bytes(artifact.read_bytes() + b"\0")
    refused(run_zoo("verify", str(artifact), *arguments), "model.torchscript")


def test_a_single_artifact_needs_no_model(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    """Its signature is checked first, and what was not compared is said."""
    private, public = keys
    path = folder / "model.torchscript"
    assert run_zoo("verify", str(path), "--key", str(public)).code == 3
    zoo.sign(path, private)
    ran = run_zoo("verify", str(path), "--key", str(public), "--json")
    assert ran.code == 0 and "--against" in ran.err
    shown = json.loads(ran.out)
    assert (shown["verdict"], shown["passed"], bool(shown["signed_by"])) == ("unverified", False, True)
    assert run_zoo("verify", str(path), "--key", str(public), "--strict").code == 2
    assert run_zoo("verify", str(path), "--key", str(public), "--expect-digest", "0" * 64).code == 3
    path.write_bytes(path.read_bytes() + b"\0")
    assert run_zoo("verify", str(path), "--key", str(public)).code == 3


def test_another_key_is_refused(folder: Path, tmp_path: Path, run_zoo: RunZoo) -> None:
    _, public = write_keys(tmp_path, "other")
    refused(run_zoo("verify", str(folder), "--key", str(public)), str(public))


@pytest.mark.parametrize("name", ["manifest.json", "model.torchscript", "golden.npz", "README.md", "zoo_runtime.py"])
def test_a_changed_file_is_refused(name: str, folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), name)


def test_the_signature_is_checked_before_the_manifest(
    folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_export.verify.verify_folder", lambda *a, **k: pytest.fail("the folder was read"))
    (folder / "manifest.json").write_text("[" * 100_000)
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), "signature")


@pytest.mark.parametrize("name", ["numpy.py", ".hidden", ".git/config", "a/b/c", "sub/signature.sig", "bad\udcff"])
def test_an_added_file_is_refused(name: str, folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("")
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), name.replace("\udcff", ""))


def test_an_added_link_is_refused(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / "numpy.py").symlink_to(folder / "README.md")
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), "numpy.py")


@pytest.mark.parametrize("name", ["pipe", "manifest.json", SIGNATURE])
def test_a_fifo_is_refused_and_not_opened(name: str, folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), name)


def test_a_removed_file_is_refused(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / "README.md").unlink()
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), "README.md")


def test_a_missing_signature_is_refused(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / SIGNATURE).unlink()
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), SIGNATURE)


def test_the_signature_of_other_weights_is_refused(
    folder: Path, weights: Path, keys: tuple[Path, Path], run_zoo: RunZoo
) -> None:
    assert run_zoo("sign", str(weights), "--key", str(keys[0])).code == 0
    shutil.copy(f"{weights}.sig", folder / SIGNATURE)
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])))
    other = weights.with_name("other.safetensors")
    shutil.copy(ROOT / "weights" / "lenet5.fashion_mnist.safetensors", other)
    shutil.copy(f"{weights}.sig", f"{other}.sig")
    refused(run_zoo("verify", str(other), "--key", str(keys[1])), "other.safetensors")


def with_payload(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the signed statement in a signature and leave the rest as it is, as a forger without the key would."""
    signature = json.loads((folder / SIGNATURE).read_text())
    payload = json.loads(base64.b64decode(signature["dsseEnvelope"]["payload"]))
    change(payload["predicate"])
    signature["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
    (folder / SIGNATURE).write_text(json.dumps(signature))


def test_a_rewritten_statement_is_refused(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / "numpy.py").write_text("")
    with_payload(
        folder, lambda statement: statement["resources"].append({**statement["resources"][0], "name": "numpy.py"})
    )
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), "signature")


def test_a_statement_that_ignores_a_file_is_refused(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    """The owner of the key signs a part of the folder with another program; the rest could be anything."""
    from model_signing import hashing, signing

    part = hashing.Config().set_ignored_paths(paths=[folder / "zoo_runtime.py", folder / SIGNATURE])
    config = signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(part)
    config.sign(folder, folder / SIGNATURE)
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), "zoo_runtime.py")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"{}",
        b"[" * 100_000,
        b'{"dsseEnvelope": {"payload": "!"}}',
        b'{"dsseEnvelope": {"payload": 7}}',
        b'{"dsseEnvelope": {"payload": "bnVsbA=="}}',
    ],
)
def test_a_malformed_signature_is_refused(
    content: bytes, folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo
) -> None:
    (folder / SIGNATURE).write_bytes(content)
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), "signature")


@pytest.mark.parametrize("part", ["verificationMaterial", "mediaType", "dsseEnvelope"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "\x1b[2J"])
def test_a_signature_with_a_wrong_part_is_refused(
    part: str, value: Any, folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo
) -> None:
    signature = json.loads((folder / SIGNATURE).read_text())
    (folder / SIGNATURE).write_text(json.dumps({**signature, part: value}))
    ran = run_zoo("verify", str(folder), "--key", str(keys[1]))
    refused(ran, "signature")
    assert "\x1b" not in ran.err


def test_a_signature_that_is_too_large_is_refused(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    os.truncate(folder / SIGNATURE, 1 << 40)  # a sparse file
    refused(run_zoo("verify", str(folder), "--key", str(keys[1])), SIGNATURE)


@pytest.mark.parametrize("kind", ["rsa", "ed25519", "curve", "private", "junk", "missing", "folder", "fifo"])
def test_a_key_that_cannot_verify_is_a_usage_error(
    kind: str, folder: Path, keys: tuple[Path, Path], tmp_path: Path, run_zoo: RunZoo
) -> None:
    path = tmp_path / "key.pem"
    others = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "curve": lambda: ec.generate_private_key(ec.SECP256K1()),
    }
    if kind in others:
        path = write_keys(tmp_path, kind, others[kind]())[1]
    elif kind == "private":
        path = keys[0]
    elif kind == "junk":
        path.write_bytes(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    elif kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    ran = run_zoo("verify", str(folder), "--key", str(path))
    assert ran.code == 2 and str(path) in ran.err and "Traceback" not in ran.err


@pytest.mark.parametrize("kind", ["rsa", "public", "junk"])
def test_a_key_that_cannot_sign_is_a_usage_error(
    kind: str, weights: Path, keys: tuple[Path, Path], tmp_path: Path, run_zoo: RunZoo
) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    if kind == "rsa":
        path, _ = write_keys(tmp_path, kind, rsa.generate_private_key(65537, 2048))
    elif kind == "public":
        path = keys[1]
    ran = run_zoo("sign", str(weights), "--key", str(path))
    assert ran.code == 2 and str(path) in ran.err and "Traceback" not in ran.err
    assert not Path(f"{weights}.sig").exists()


def test_an_encrypted_key_needs_its_password(
    weights: Path, tmp_path: Path, run_zoo: RunZoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = write_keys(tmp_path, "locked", password="open sesame")
    assert run_zoo("sign", str(weights), "--key", str(private)).code == 2
    monkeypatch.setenv("ZOO_SIGNING_PASSWORD", "wrong")
    assert run_zoo("sign", str(weights), "--key", str(private)).code == 2
    assert not Path(f"{weights}.sig").exists()
    monkeypatch.setenv("ZOO_SIGNING_PASSWORD", "open sesame")
    ran = run_zoo("sign", str(weights), "--key", str(private))
    assert ran.code == 0, ran.err
    assert zoo.verify(weights, key=public).signed_by
    with pytest.raises(UsageError):
        zoo.sign(weights, private, force=True)
    assert zoo.sign(weights, private, password="open sesame", force=True) == Path(f"{weights}.sig")


def test_a_password_for_an_open_key_is_a_usage_error(weights: Path, keys: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="password"):
        zoo.sign(weights, keys[0], password="x")


def test_a_damaged_folder_is_not_signed(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / SIGNATURE).unlink()
    (folder / "model.torchscript").write_bytes(b"damaged")
    refused(run_zoo("sign", str(folder), "--key", str(keys[0])), "model.torchscript")
    assert not (folder / SIGNATURE).exists()


def test_a_folder_with_a_file_too_many_is_not_signed(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    (folder / SIGNATURE).unlink()
    (folder / "numpy.py").write_text("")
    refused(run_zoo("sign", str(folder), "--key", str(keys[0])), "numpy.py")
    assert not (folder / SIGNATURE).exists()


def test_damaged_weights_are_not_signed(weights: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    weights.write_bytes(weights.read_bytes()[:-1])
    assert run_zoo("sign", str(weights), "--key", str(keys[0])).code == 1
    assert not Path(f"{weights}.sig").exists()


def test_other_folders_and_missing_files_are_not_signed(
    tmp_path: Path, keys: tuple[Path, Path], run_zoo: RunZoo
) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        assert run_zoo("sign", str(path), "--key", str(keys[0])).code == 1
        assert run_zoo("verify", str(tmp_path / "missing"), "--key", str(keys[1])).code == 1
    assert not (tmp_path / SIGNATURE).exists()


def test_a_signature_is_replaced_by_force_alone(folder: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    before = (folder / SIGNATURE).read_bytes()
    ran = run_zoo("sign", str(folder), "--key", str(keys[0]))
    assert ran.code == 1 and "--force" in ran.err
    assert (folder / SIGNATURE).read_bytes() == before
    assert run_zoo("sign", str(folder), "--key", str(keys[0]), "--force").code == 0
    assert zoo.verify(folder, key=keys[1]).signed_by


def test_a_missing_package_gives_the_pip_line(
    folder: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoo_export.signatures.keys.find_spec", lambda name: None)
    for call in (lambda: zoo.verify(folder, key=keys[1]), lambda: zoo.sign(folder, keys[0], force=True)):
        with pytest.raises(MissingPackage) as caught:
            call()
        assert "zoo-kit[signing]" in caught.value.next_step


def test_weights_take_no_model_to_compare_with(weights: Path, keys: tuple[Path, Path], run_zoo: RunZoo) -> None:
    zoo.sign(weights, keys[0])
    assert run_zoo("verify", str(weights), "--key", str(keys[1]), "--against", "lenet5").code == 2
    ran = run_zoo("verify", str(weights))
    assert ran.code == 2 and "zoo weights verify" in ran.err


def test_a_signature_crosses_no_curve(weights: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    zoo.sign(weights, keys[0])
    _, public = write_keys(tmp_path, "longer", ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(DifferenceError):
        zoo.verify(weights, key=public)
