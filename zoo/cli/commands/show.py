"""`zoo show`: all fields of one spec or card."""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import json_option
from zoo.cli.output import print_fields, print_json

if TYPE_CHECKING:
    from zoo.cli.main import Lazy
    from zoo.contract.specs import Spec
    from zoo.registry.registry import Entry


@click.command("show")
@click.argument("name")
@json_option
@click.pass_obj
def command(lazy: "Lazy", name: str, as_json: bool) -> None:
    """Show all fields of NAME.

    NAME is an architecture, collection, loss, data set, format, precision or command, an ARCH.TAG, the path of a
    weights file, or a folder with config.json and model.safetensors.

    If several kinds of things have that name, all are shown.
    """
    from zoo.contract.errors import UsageError
    from zoo.registry.model_kind import ModelKind, model_kind

    kind = model_kind(lazy.registry, name)
    if kind is ModelKind.EXPORT:
        raise UsageError(f"{name} is an export.", f"Use `zoo verify {name}`; its README.md describes it.")
    if kind is ModelKind.HUB_FOLDER:
        items = _hub_folder(name)
    else:
        items = _weights(lazy, name) if kind.stored else _specs(lazy, name)
    if as_json:
        print_json(items)
        return
    for index, item in enumerate(items):
        if index:
            click.echo()
        print_fields({key: _line(value) for key, value in item.items()})


def _specs(lazy: "Lazy", name: str) -> list[dict[str, Any]]:
    from zoo.cli.commands.list import KINDS
    from zoo.contract.errors import UnknownName
    from zoo.contract.specs import Architecture, Collection
    from zoo.models.stored.identity import stored_weights

    items, unknown = [], []
    for kind in (*KINDS.values(), Collection):
        try:
            items.append(_spec(lazy.registry.look_up(kind, name)))
        except UnknownName as error:
            unknown.append(error)
    if not items:
        close = [error.next_step for error in unknown if error.next_step.startswith("Did you mean")]
        raise UnknownName(f"Nothing is named {name!r}.", close[0] if close else "`zoo list` shows all names.")
    if items[0]["kind"] == "architecture":
        files = stored_weights(lazy.registry, lazy.registry.look_up(Architecture, name))
        items[0] |= {"weights": files} if files else {}
    return items


def _spec(entry: "Entry[Spec]") -> dict[str, Any]:
    return {
        "kind": entry.spec.kind,
        "name": entry.spec.name,
        "summary": entry.spec.summary,
        "plugin": f"{entry.plugin.name} ({entry.plugin.distribution} {entry.plugin.version})",
        **{
            field.name: _plain(getattr(entry.spec, field.name))
            for field in fields(entry.spec)
            if field.name not in ("name", "summary")
        },
    }


def _weights(lazy: "Lazy", name: str) -> list[dict[str, Any]]:
    from zoo.files.card import read_card
    from zoo.models.stored.files import stored_file

    path = stored_file(lazy.registry, name)
    return [{"kind": "weights", "file": str(path), **read_card(path)[0].to_dict()}]


def _hub_folder(name: str) -> list[dict[str, Any]]:
    """The card of a folder's weights, or what its `config.json` says where they have none."""
    from zoo.files.card import read_card
    from zoo.models.hub_layout.config import PREFIX
    from zoo.models.hub_layout.folder_files import has_card, read_folder_config
    from zoo.registry.hub.folders import CONFIG, WEIGHTS, hub_folder

    folder = hub_folder(name)
    assert folder is not None  # or `hub_folder` raised
    if has_card(folder):
        return [{"kind": "weights", "file": str(folder / WEIGHTS), **read_card(folder / WEIGHTS)[0].to_dict()}]
    config, _ = read_folder_config(folder)
    return [
        {
            "kind": "weights without a card",
            "file": str(folder / CONFIG),
            "architecture": PREFIX + config.architecture,
            "classes": list(config.labels),
            "preprocess": config.preprocess.to_dict(),
            "params": dict(config.params),
            "licence": config.licence,
        }
    ]


def _plain(value: Any) -> Any:
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "default"):
        return {"default": value.default, "choices": list(value.choices), "summary": value.summary}
    return value


def _line(value: Any) -> Any:
    if isinstance(value, dict):
        return ", ".join(f"{key}={_line(item)}" for key, item in value.items() if item not in ("", [], None))
    if isinstance(value, list | tuple):
        return " ".join(f"[{_line(item)}]" if isinstance(item, dict) else str(item) for item in value)
    return value
