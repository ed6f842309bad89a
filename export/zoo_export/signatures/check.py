"""Check the signature of a file or folder: made with this key, of exactly the files that are there now."""

import base64
import json
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zoo.contract.errors import DifferenceError
from zoo.files.regular import is_regular, read_regular
from zoo_export.signatures.contents import hashing_config, refuse_irregular, signed_names
from zoo_export.signatures.keys import fingerprint, read_public_key, require_package
from zoo_export.signatures.names import SIGNATURE, signature_path

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

LARGEST_SIGNATURE = 1 << 24  # bytes; one of a folder of six files has 2,200
DO_NOT_USE = "Do not use it. Get it again from whoever signed it, with its signature."
# What a malformed signature makes model-signing and its parsers raise.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, RecursionError, AssertionError)


def check_signature(path: Path, key: Path) -> str:
    """Check that `path` is what was signed with the private key that belongs to the public key in `key`.

    The content of `path` is hashed, and neither parsed nor run.

    Returns:
        the SHA-256 of the public key, in hexadecimal.

    Raises:
        MissingPackage: `model-signing` is not installed.
        UsageError: the key cannot be used.
        ExportError: `path` is neither a regular file nor a folder.
        DifferenceError: there is no signature, another key made it, or a file was changed, added or removed.
    """
    require_package()
    public = read_public_key(key)
    if not path.is_dir() and not is_regular(path):
        refuse_irregular(path)
    content = _read_signature(path)
    signer, digests = _statement(path, content)
    if signer != _hint(public):
        raise DifferenceError(f"The signature of {path} was not made with the private key of {key}.", DO_NOT_USE)
    _compare_names(path, set(digests))
    _compare_digests(path, key, content, digests)
    return fingerprint(public)


def _read_signature(path: Path) -> bytes:
    signature = signature_path(path)
    try:
        return read_regular(signature, LARGEST_SIGNATURE)
    except FileNotFoundError:
        raise DifferenceError(
            f"{path} is not signed: there is no {signature}.", "Get the signature, too, or sign it with `zoo sign`."
        ) from None
    except OSError as error:
        raise DifferenceError(f"The signature {signature} cannot be read: {error.strerror}.", DO_NOT_USE) from None


def _statement(path: Path, content: bytes) -> tuple[str, dict[str, str]]:
    """The key that a signature names, and the digest of each file, as it says itself: it is not verified yet."""
    try:
        bundle: Any = json.loads(content)
        payload: Any = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
        rules, resources = payload["predicate"]["serialization"], payload["predicate"]["resources"]
        if (rules["method"], rules["hash_type"]) != ("files", "sha256"):
            raise ValueError(f"it is of {rules['method']!r} and {rules['hash_type']!r}, not of files and sha256")
        digests = {str(resource["name"]): str(resource["digest"]) for resource in resources}
        return str(bundle["verificationMaterial"]["publicKey"]["hint"]), digests
    except MALFORMED as error:
        raise _malformed(path, error) from None


def _hint(key: "EllipticCurvePublicKey") -> str:
    """How model-signing names a key: the SHA-256 of its PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _compare_names(path: Path, signed: set[str]) -> None:
    """Refuse a file more or less than was signed, before anything is hashed."""
    present = signed_names(path)
    for names, what in ((present - signed, "was not signed"), (signed - present, "was signed and is missing")):
        if names:
            raise DifferenceError(f"{path}: {_first(names)} {what}.", DO_NOT_USE)


def _compare_digests(path: Path, key: Path, content: bytes, digests: dict[str, str]) -> None:
    """Check the signature with the key, and then each file with its digest in the signature."""
    from cryptography.exceptions import InvalidSignature
    from model_signing import verifying

    model = path.resolve()  # model-signing refuses symbolic links
    config = verifying.Config().use_elliptic_key_verifier(public_key=key).set_hashing_config(hashing_config(model))
    with TemporaryDirectory(prefix="zoo-") as folder:
        copy = Path(folder, SIGNATURE)  # the bytes that were looked at
        copy.write_bytes(content)
        try:
            config.verify(model, copy)
        except InvalidSignature:
            raise DifferenceError(f"The signature of {path} was changed after it was made.", DO_NOT_USE) from None
        except MALFORMED as error:
            if changed := _changed(model, digests):
                what = f"{path} was" if path.is_file() else f"{path}: {_first(changed)} was"
                raise DifferenceError(f"{what} changed after it was signed.", DO_NOT_USE) from None
            raise _malformed(path, error) from None


def _changed(model: Path, digests: dict[str, str]) -> set[str]:
    """The files whose digest is not the signed one."""
    try:
        hashed = hashing_config(model).hash(model).resource_descriptors()
        return {each.identifier for each in hashed if digests.get(each.identifier) != each.digest.digest_hex}
    except ValueError:  # something is there now that cannot be hashed
        return set()


def _first(names: set[str]) -> str:
    return min(names) + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _malformed(path: Path, error: BaseException) -> DifferenceError:
    text = " ".join(str(error).split())
    return DifferenceError(f"The signature of {path} does not hold: {type(error).__name__}: {text:.300}.", DO_NOT_USE)
