"""`zoo sign`: sign a weights file, an exported file or an export folder with a local key."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.options import force_option, json_option
from zoo.cli.output import print_json, print_line

if TYPE_CHECKING:
    from zoo.cli.main import Lazy

PASSWORD = "ZOO_SIGNING_PASSWORD"


@click.command("sign")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    metavar="PRIVATE.pem",
    type=click.Path(path_type=Path),
    help="Private key: EC of the curve P-256, P-384 or P-521, in PEM.",
)
@force_option
@json_option
@click.pass_obj
def command(lazy: "Lazy", /, path: Path, key: Path, force: bool, as_json: bool) -> None:
    """Sign PATH, a weights file, an exported file or an export folder, with a private key.

    Weights files and folders are checked first: a damaged one is not signed. The signature is written to PATH.sig, or
    to signature.sig in the folder. It covers every byte of every file. `zoo verify PATH --key PUBLIC.pem` checks it.

    Make a pair of keys with openssl. -aes256 asks for a password; without it the private key is not encrypted:

    \b
        openssl genpkey -algorithm EC -aes256 \\
            -pkeyopt ec_paramgen_curve:P-256 -out private.pem
        openssl pkey -in private.pem -pubout -out public.pem

    Give public.pem to those who verify, by another way than the files. Keep private.pem to yourself. The password is
    read from the environment variable ZOO_SIGNING_PASSWORD; if it is not set, zoo asks for it.
    """
    from zoo_export.signatures.keys import is_encrypted, require_package

    require_package()
    password = _password(key) if is_encrypted(key) else None
    announce(LOADING)
    from zoo.api.signing import sign

    signature = sign(path, key, password=password, force=force, registry=lazy.registry)
    if as_json:
        print_json({"path": str(path), "signature": str(signature)})
    else:
        print_line(str(signature))


def _password(key: Path) -> str | None:
    """The password from the environment, or from whoever sits at the terminal; `None` if there is neither."""
    password = os.environ.get(PASSWORD)
    if password is not None or not sys.stdin.isatty():
        return password
    return str(click.prompt(f"Password of {key}", hide_input=True, err=True))
