"""Download a file whose SHA-256 is known, into a temporary file that no error leaves behind."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from torch.hub import tqdm  # type: ignore[attr-defined]

from zoo.contract.errors import WeightsError
from zoo.files.atomic import explain_write_errors, replacing_file

CHUNK = 1 << 20  # bytes
TIMEOUT = 30  # seconds without a byte


@contextmanager
def downloaded(url: str, digits: str, path: Path, otherwise: str) -> Iterator[Path]:
    """Yield `path` with the content of `url`, after its hash was checked; it is removed when the block ends.

    Args:
        digits: the first hex digits of its SHA-256.
        path: where to put it, on a disk that has room for it. Its folders are created, and removed again if they are
            new and empty.
        otherwise: the next step for a user without a network.

    Raises:
        WeightsError: it cannot be downloaded, is incomplete, or has another hash.
        OutputError: it cannot be written.
    """
    made = [each for each in path.parents if not each.exists()]
    with replacing_file(path) as temporary:
        _receive(url, digits, temporary, otherwise)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        for each in made:
            with suppress(OSError):  # something else is in it
                each.rmdir()


def _receive(url: str, digits: str, path: Path, otherwise: str) -> None:
    sha256, received = hashlib.sha256(), 0
    try:
        with (
            urlopen(Request(url, headers={"User-Agent": "zoo-kit"}), timeout=TIMEOUT) as answer,
            path.open("xb") as file,
        ):
            length = int(answer.headers.get("Content-Length") or 0)
            with tqdm(total=length or None, disable=not sys.stderr.isatty(), unit="B", unit_scale=True) as bar:
                while chunk := answer.read(CHUNK):
                    with explain_write_errors(path):
                        file.write(chunk)
                    sha256.update(chunk)
                    received += len(chunk)
                    bar.update(len(chunk))
    except (OSError, HTTPException, ValueError) as error:
        cause = error.reason if type(error) is URLError else error  # not of its subclass, HTTPError
        reason = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
        raise WeightsError(f"{url} could not be downloaded: {reason}.", otherwise) from error
    if received < length:
        raise WeightsError(
            f"The download of {url} ended after {received:,} of {length:,} bytes.", "Check the network, and try again."
        )
    if not sha256.hexdigest().startswith(digits):
        raise WeightsError(
            f"What {url} serves has the SHA-256 {sha256.hexdigest()}, which does not start with {digits}.",
            "Try again. If it stays so, the file at that address, or a proxy on the way, is not to be trusted.",
        )
