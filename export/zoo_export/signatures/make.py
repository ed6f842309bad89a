"""Make a signature with `model-signing`: the SHA-256 of every file, signed with a local key."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zoo.contract.errors import DifferenceError
from zoo.files.atomic import write_file
from zoo_export.signatures.contents import hashing_config, signed_names
from zoo_export.signatures.keys import read_private_key, require_package
from zoo_export.signatures.names import SIGNATURE, signature_path


def make_signature(path: Path, key: Path, password: str | None = None, *, force: bool = False) -> Path:
    """Sign a file, or all files of a folder, and return the path of the signature.

    Args:
        key: an EC private key in PEM.
        password: of the key, if it is encrypted.
        force: replace an existing signature.

    Raises:
        MissingPackage: `model-signing` is not installed.
        UsageError: the key cannot be used.
        DifferenceError: the folder holds something that is neither a regular file nor a folder.
        OutputError: there is a signature and `force` is not set, or it cannot be written.
    """
    require_package()
    from model_signing import signing

    read_private_key(key, password)
    signed_names(path)
    model = path.resolve()  # model-signing refuses symbolic links
    config = signing.Config().set_hashing_config(hashing_config(model))
    secret: Any = None if password is None else password.encode()  # annotated as str, and used as bytes
    config.use_elliptic_key_signer(private_key=key, password=secret)
    with TemporaryDirectory(prefix="zoo-") as folder:
        made = Path(folder, SIGNATURE)
        try:
            config.sign(model, made)
        except ValueError as error:  # a file that changed into something else meanwhile
            raise DifferenceError(f"{path} cannot be signed: {error}", "Sign it when nothing changes it.") from None
        write_file(signature_path(path), made.read_bytes(), force=force)
    return signature_path(path)
