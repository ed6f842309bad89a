"""`zoo pull` and `zoo push`. The hub library is imported when they run."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.api.terminal import LOADING, announce
from zoo.cli.options import force_option, json_option
from zoo.cli.output import print_json, print_line

if TYPE_CHECKING:
    from zoo.cli.main import Lazy


@click.command("pull")
@click.argument("repository", metavar="hf-hub:OWNER/NAME")
@click.option("--revision", metavar="REV", help="Branch, tag or commit.  [default: the main branch]")
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Weights file to write.  [default: named after the repository, in $ZOO_WEIGHTS or ./weights]",
)
@force_option
@json_option
@click.pass_obj
def pull_command(
    lazy: "Lazy", /, repository: str, revision: str | None, output: Path | None, force: bool, as_json: bool
) -> None:
    """Download weights from the Hugging Face Hub and store them as a weights file.

    The repository has timm's layout: config.json and model.safetensors. Weights that `zoo push` uploaded are stored
    byte for byte; others get a card that says where they came from, and need the extra zoo-kit[timm].

    HF_TOKEN or `hf auth login` gives access to private repositories; HF_ENDPOINT sets another hub.
    """
    announce(LOADING)
    from zoo.api.weights.transfer import pull
    from zoo.files.expected_digest import digest_of

    progress = sys.stderr.isatty()
    pulled = pull(repository, revision=revision, output=output, force=force, progress=progress, registry=lazy.registry)
    path, card = pulled.path, pulled.card
    if as_json:
        print_json(
            {
                "file": str(path),
                "architecture": card.architecture,
                "digest": digest_of(card),
                "commit": pulled.commit,
            }
        )
        return
    print_line(f"{path}: {card.architecture}, {len(card.classes):,} classes")
    print_line(f"Digest: {digest_of(card)}")


@click.command("push")
@click.argument("model")
@click.argument("repository", metavar="hf-hub:OWNER/NAME|local-dir:DIR")
@click.option("--private", is_flag=True, help="Make a new repository private.")
@click.option("--force", is_flag=True, help="Replace a folder that has this layout.")
@json_option
@click.pass_obj
def push_command(lazy: "Lazy", /, model: str, repository: str, private: bool, force: bool, as_json: bool) -> None:
    """Upload MODEL, an ARCH.TAG, a path or a folder in timm's layout, to the Hugging Face Hub in timm's layout.

    The repository is made if it is not there. timm.create_model loads it where the architecture is timm's, and
    `zoo pull` gives the same file back. local-dir:DIR writes the same files to a folder instead.

    HF_TOKEN or `hf auth login` gives the right to upload; HF_ENDPOINT sets another hub.
    """
    announce(LOADING)
    from zoo.api.weights.transfer import push

    progress = sys.stderr.isatty()
    pushed = push(model, repository, private=private, force=force, progress=progress, registry=lazy.registry)
    if as_json:
        print_json({"model": model, "file": str(pushed.path), "pushed_to": pushed.destination})
        return
    print_line(f"{model} is at {pushed.destination}")
