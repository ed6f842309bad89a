"""Read the keys of signatures: elliptic-curve keys in PEM files."""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.contract.errors import MissingPackage, UsageError
from zoo.files.regular import read_regular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

PACKAGES = {"model-signing": "model_signing", "pyopenssl": "OpenSSL"}  # which model-signing 1.1.1 needs
LARGEST_KEY = 1 << 16  # bytes
CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
MAKE = "Make one with `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out private.pem`."
DERIVE = "Write the public key with `openssl pkey -in private.pem -pubout -out public.pem`."


def require_package() -> None:
    """Raise `MissingPackage` if a package that makes and checks signatures is not installed."""
    missing = [package for package, module in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise MissingPackage(
            f"Signatures need {' and '.join(missing)}, which is not installed.", "Run: pip install 'zoo-kit[signing]'"
        )


def is_encrypted(path: Path) -> bool:
    """Whether the private key in `path` is encrypted with a password.

    Raises:
        UsageError: the file cannot be read.
    """
    return b"ENCRYPTED" in _read(path)


def read_private_key(path: Path, password: str | None) -> "EllipticCurvePrivateKey":
    """The private key in `path`.

    Args:
        password: of the key, if it is encrypted.

    Raises:
        UsageError: the file cannot be read, holds no EC private key of a supported curve, or the password is wrong.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = _read(path)
    if b"PRIVATE KEY" not in content:
        raise UsageError(f"{path} holds no private key in PEM.", MAKE)
    try:
        key = load_pem_private_key(content, None if password is None else password.encode())
    except TypeError:
        if password is None:
            raise UsageError(
                f"{path} is encrypted, and there is no password.",
                "Set ZOO_SIGNING_PASSWORD, or pass `password` to zoo.sign.",
            ) from None
        raise UsageError(
            f"{path} is not encrypted, but there is a password.",
            "Leave out the password, or unset ZOO_SIGNING_PASSWORD.",
        ) from None
    except (ValueError, UnsupportedAlgorithm) as error:
        if password is not None:
            raise UsageError(
                f"{path} cannot be read with this password.", "Correct the password or the path."
            ) from None
        raise UsageError(f"{path} holds no private key that can be read: {error}", MAKE) from None
    if not isinstance(key, EllipticCurvePrivateKey) or key.curve.name not in CURVES:
        raise _unsupported(path)
    return key


def read_public_key(path: Path) -> "EllipticCurvePublicKey":
    """The public key in `path`.

    Raises:
        UsageError: the file cannot be read, or holds no EC public key of a supported curve.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise UsageError(f"{path} holds a private key; to verify, the public key is needed.", DERIVE)
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} holds no public key in PEM.", DERIVE) from None
    if not isinstance(key, EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise _unsupported(path)
    return key


def fingerprint(key: "EllipticCurvePublicKey") -> str:
    """The SHA-256 of a public key in DER, in hexadecimal: `openssl pkey -pubin -outform DER | sha256sum`."""
    from hashlib import sha256

    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return read_regular(path, LARGEST_KEY)
    except OSError as error:
        raise UsageError(f"The key {path} cannot be read: {error.strerror}.", "Check the path after --key.") from None


def _unsupported(path: Path) -> UsageError:
    return UsageError(f"{path} is not an EC key of the curves {', '.join(CURVES.values())}.", MAKE)
