"""`zoo weights`: list the weights files that zoo finds, show their cards, verify them; import those of others."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.api.terminal import LOADING, announce, erase_announcement
from zoo.cli.commands.weights_import import import_file
from zoo.cli.options import json_option
from zoo.cli.output import print_fields, print_json, print_line, print_table, print_verdict
from zoo.contract.printable import plain_lines

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.pretrained import Metric


@click.group("weights")
def command() -> None:
    """List, show, import and verify weights files, or write a page about them."""


command.add_command(import_file)


@command.command("list")
@click.option("--filter", "-f", "pattern", default="*", help="Only names that match, such as 'resnet*'.")
@json_option
@click.pass_obj
def list_weights(lazy: "Lazy", pattern: str, as_json: bool) -> None:
    """List the weights files in $ZOO_WEIGHTS, ./weights and those that come with zoo, and weights of plugins.

    Weights that a plugin provides have no file until they are first used. A top-1 that is published was not measured
    by zoo. No tensor is read.

    In a terminal, columns that do not fit are left out. In a pipe, columns are separated by tabs and whole.
    """
    from fnmatch import fnmatchcase

    from zoo.files.folders import weights_files
    from zoo.files.regular import is_regular
    from zoo.registry.pretrained import pretrained_entries, pretrained_path

    files = weights_files()
    rows = [_row(name, path) for name, path in files.items() if fnmatchcase(name, pattern)]
    for entry, tag in pretrained_entries(lazy.registry):
        name, path = f"{entry.spec.name}.{tag}", pretrained_path(entry, tag)
        if name not in files and fnmatchcase(name, pattern):
            provided = {"provided_by": entry.plugin.distribution}
            rows.append({**(_row(name, path) if is_regular(path) else {"name": name, "file": None}), **provided})
    if as_json:
        print_json(rows)
        return
    print_table(
        ["weights", "top-1", "measured on", "size", "file"],
        [
            [row["name"], "refused", row["error"], "", row["file"]]
            if "error" in row
            else [row["name"], "", "", "", f"none yet; {row['provided_by']} provides it"]
            if row["file"] is None
            else [row["name"], _percent(row["top1"]), row["measured_on"], _size(row["bytes"]), row["file"]]
            for row in rows
        ],
        optional=("file", "measured on"),
    )


def _row(name: str, path: Path) -> dict[str, Any]:
    from zoo.contract.errors import WeightsError
    from zoo.files.card import read_card

    try:
        card, _ = read_card(path)
    except WeightsError as error:
        return {"name": name, "file": str(path), "error": error.cause}
    metric = next((metric for metric in (*card.metrics, *card.published) if metric.name == "top1"), None)
    published = "published: " if metric is not None and metric not in card.metrics else ""
    return {
        "name": name,
        "dataset": card.dataset,
        "top1": metric.value if metric else None,
        "measured_on": f"{published}{metric.dataset} {metric.split}, n={metric.n}" if metric else "",
        "bytes": path.stat().st_size,
        "file": str(path),
    }


@command.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def show_weights(lazy: "Lazy", name: str, as_json: bool) -> None:
    """Show the card of NAME: an ARCH.TAG, a path, or a folder with config.json and model.safetensors.

    No tensor is read.
    """
    from zoo.files.card import read_card
    from zoo.files.expected_digest import digest_of
    from zoo.models.stored.files import stored_file

    path = stored_file(lazy.registry, name)
    card, header = read_card(path)
    if as_json:
        print_json(card.to_dict())
        return
    classes = ", ".join(card.classes[:10]) + (", …" if len(card.classes) > 10 else "")
    print_fields(
        {
            "file": path,
            "size": f"{_size(path.stat().st_size)}, {len(header.tensors)} tensors",
            "architecture": f"{card.architecture} of {card.plugin} {card.plugin_version}"
            + (f", plugin {card.entry_point}" if card.entry_point else ""),
            **{f"  {key}": value for key, value in card.params.items()},
            "classes": f"{len(card.classes)}: {classes}",
            "input": " × ".join(map(str, card.preprocess.input_shape)),
            "mean, std": f"{card.preprocess.mean}, {card.preprocess.std}",
            "trained on": card.dataset,
            **{metric.name: _measured(metric) for metric in card.metrics},
            **(
                {"metrics": f"unmeasured; `zoo evaluate {name} --data NAME --record` measures them"}
                if card.source and not card.metrics
                else {}
            ),
            **{f"{metric.name}, published": _measured(metric) for metric in card.published},
            **({"source": card.source} if card.source else {}),
            **({"SHA-256 of source": card.source_sha256} if card.source_sha256 else {}),
            "command": card.command,
            "versions": ", ".join(f"{key} {value}" for key, value in card.versions.items()),
            "licence": card.licence,
            "digest": digest_of(card),
            "digest of tensors": card.digest,
            **({"storage dtype": f"{card.storage_dtype}, read as float32"} if card.storage_dtype else {}),
        }
    )


@command.command("verify")
@click.argument("names", nargs=-1)
@click.option("--expect-digest", metavar="SHA256", help="Digest that the one file in NAMES must have, as shown here.")
@json_option
@click.pass_obj
def verify_weights(lazy: "Lazy", names: tuple[str, ...], expect_digest: str | None, as_json: bool) -> None:
    """Check NAMES, or all weights files: structure, card, digest, finite values.

    The digest that is shown is of the whole card, which has the digest of the tensors. Cards that release 0.1.0 wrote
    have only a digest of the tensors, and that one is shown. The exit code is 3 if a file is damaged, or has another
    digest than --expect-digest.
    """
    announce(LOADING)
    from zoo.contract.errors import DifferenceError, UsageError, WeightsError
    from zoo.files.expected_digest import digest_of
    from zoo.files.folders import weights_files
    from zoo.files.weights import load_weights
    from zoo.models.stored.files import stored_file

    if expect_digest is not None and len(names) != 1:
        raise UsageError("--expect-digest requires one file.", "Name the file.")

    paths = [stored_file(lazy.registry, name) for name in names] or list(weights_files().values())
    if not paths:
        raise WeightsError("There are no weights files to verify.", "Pass the path of one.")
    rows = []
    for path in paths:
        try:
            card = load_weights(path, expect_digest).card
            rows.append(
                {
                    "file": str(path),
                    "passed": True,
                    "digest": digest_of(card),
                    "card_covered": bool(card.card_digest),
                    "tensors_digest": card.digest,
                }
            )
        except WeightsError as error:
            rows.append({"file": str(path), "passed": False, "error": error.cause})
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            if row["passed"]:
                print_verdict("pass", f"{row['file']} is intact, {row['digest']}")
            else:
                print_verdict("fail", str(row["error"]))
            if row["passed"] and not row["card_covered"]:
                print_line("  Its card is not covered by a digest (made by 0.1.0). `zoo weights upgrade` adds one.")
    damaged = [str(row["file"]) for row in rows if not row["passed"]]
    if damaged:
        raise DifferenceError(
            f"{len(damaged)} of {len(rows)} weights files are damaged or cannot be read: {', '.join(damaged)}.",
            "Download or train them again.",
        )


@command.command("upgrade")
@click.argument("names", nargs=-1, required=True)
@click.pass_obj
def upgrade_weights(lazy: "Lazy", names: tuple[str, ...]) -> None:
    """Write the cards of NAMES anew, in the newest format, whose digest covers the whole card.

    The tensors and everything that the card says stay the same. Do this to files that you made or trust.
    """
    announce(LOADING)
    from zoo.files.weights import upgrade_card
    from zoo.models.stored.files import stored_file

    for name in names:
        path = stored_file(lazy.registry, name)
        print_line(f"{path}: {upgrade_card(path).card_digest}")


@command.command("page")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("weights"))
def page(folder: Path) -> None:
    """Print a Markdown page about the weights files in FOLDER, made from their cards.  [default: weights]"""
    announce(LOADING)
    from zoo.report.cards import cards_page
    from zoo.training.recipe.file import command_of_card

    text = plain_lines(cards_page(folder, command_of_card))
    erase_announcement()
    click.echo(text, nl=False)


def _measured(metric: "Metric") -> str:
    return f"{metric.value:.4f}  ({metric.dataset} {metric.split}, n={metric.n})"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.2f} %"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
