"""Write the generated parts of the documents: help texts, the recipe's table, fields of specs, the Python API.

A part lies between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. Everything else is written by hand.

Run: python docs/generate.py            (writes what has changed, and names it)
     python docs/generate.py --check    (writes nothing; exits with 1 where something is stale)
"""

import inspect
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PART = re.compile(r"<!-- generated: (?P<name>.+?) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)
WIDTH = 96
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes):$")


def render(name: str) -> str:
    """The text of a part: the name of a generator, and what it is about after a space."""
    generator, _, subject = name.partition(" ")
    return GENERATORS[generator](*([subject] if subject else []))


def refreshed(text: str) -> str:
    """A page with every generated part made anew."""

    def part(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- generated: {name} -->\n{render(name).strip()}\n<!-- end of {name} -->"

    return PART.sub(part, text)


def cell(text: str) -> str:
    """A text as a cell of a table."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", r"\<")


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """A Markdown table."""
    written = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell(value) for value in row)} |" for row in written)


def sections(docstring: str) -> tuple[str, dict[str, dict[str, str]]]:
    """The prose of a docstring, and of each section such as Args the text of each name."""
    prose: list[str] = []
    parts: dict[str, dict[str, str]] = {}
    part: dict[str, str] | None = None
    names: list[str] = []
    for line in inspect.cleandoc(docstring).splitlines():
        heading = SECTION.match(line)
        if heading:
            part = parts.setdefault(heading[1], {})
        elif part is None:
            prose.append(line)
        elif entry := re.match(r"    (\*{0,2}\w[\w., *]*): (.*)", line):
            names = [name.strip() for name in entry[1].split(",")]
            part.update(dict.fromkeys(names, entry[2]))
        elif line.strip() and names:
            part.update({name: f"{part[name]} {line.strip()}" for name in names})
        elif line.strip():
            part[""] = f"{part.get('', '')} {line.strip()}".strip()
    return "\n".join(prose).strip(), parts


def written(value: Any) -> str:
    """A type or default as a reader would write it."""
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    return re.sub(r"\b(?:zoo|typing|collections\.abc|pathlib|torch\.nn\.modules\.module)\.(?:\w+\.)*", "", text)


def default_of(each: "Field[Any]") -> str:
    """The default of a field of a dataclass, in code; empty where it has none."""
    if each.default is not MISSING:
        return f"`{each.default!r}`"
    if each.default_factory is not MISSING:
        return f"`{each.default_factory()!r}`"
    return "required"


def load(name: str) -> Any:
    """`package.module:attribute`."""
    from importlib import import_module

    module, _, attribute = name.partition(":")
    return getattr(import_module(module), attribute)


def of_fields(name: str) -> str:
    """The table of a dataclass's fields, from its docstring and those of the classes below it."""
    kind = load(name)
    described: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each) and each.__doc__:
            described |= sections(each.__doc__)[1].get("Args", {})
    missing = [each.name for each in fields(kind) if each.name not in described]
    if missing:
        raise ValueError(f"{name} does not document {', '.join(missing)}")
    return table(
        ("field", "default", "what it is"),
        ((f"`{each.name}`", default_of(each), described[each.name]) for each in fields(kind)),
    )


def of_members(name: str) -> str:
    """The table of the properties and methods of a protocol or class, from their docstrings."""
    kind = load(name)

    def rows() -> Iterator[tuple[str, ...]]:
        for member, value in vars(kind).items():
            if member.startswith("_") or not (isinstance(value, property) or inspect.isfunction(value)):
                continue
            function = value.fget if isinstance(value, property) else value
            signature = inspect.signature(function)
            result = written(signature.return_annotation)
            if isinstance(value, property):
                shown = f"{member}: {result}"
            else:
                shown = f"{member}{_signature(function, drop_self=True)}"
            yield f"`{shown}`", sections(function.__doc__ or "")[0]

    return table(("member", "what it is"), rows())


def _signature(function: Callable[..., Any], *, drop_self: bool = False) -> str:
    signature = inspect.signature(function)
    parameters = [
        each.replace(annotation=inspect.Parameter.empty) if each.annotation is inspect.Parameter.empty else each
        for each in signature.parameters.values()
        if not (drop_self and each.name == "self")
    ]
    return written(str(signature.replace(parameters=parameters))).replace("'", "")


def of_api(name: str) -> str:
    """A function's or class's signature, what it does, its arguments, result and errors."""
    subject = load(name)
    shown = f"zoo.{name.partition(':')[2]}" if name.startswith("zoo:") else name.replace(":", ".")
    title = shown.rpartition(".")[2] if not name.startswith("zoo:") else shown
    prose, parts = sections(subject.__doc__ or "")
    text = f"```text\n{_wrapped(title, subject)}\n```\n\n{prose}\n"
    if arguments := parts.get("Args"):
        text += "\n" + "\n".join(f"- `{key}`: {' '.join(value.split())}" for key, value in arguments.items()) + "\n"
    for heading in ("Returns", "Raises"):
        for key, value in parts.get(heading, {}).items():
            text += f"\n{heading}{f' `{key}`' if key else ''}: {value}\n"
    return text


def _wrapped(title: str, subject: Any) -> str:
    """A signature with one parameter a line where it is long."""
    whole = f"{title}{_signature(subject)}"
    if len(whole) <= WIDTH:
        return whole
    signature = inspect.signature(subject)
    inner: list[str] = []
    keyword_only = False
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            inner.append("*")
        inner.append(written(str(each)).replace("'", ""))
    result = "" if signature.return_annotation is signature.empty else f" -> {written(signature.return_annotation)}"
    return f"{title}(\n" + "".join(f"    {line},\n" for line in inner) + f"){result}".replace("'", "")


def of_commands() -> str:
    """The help of every command, subcommands too."""
    from zoo.cli.main import cli

    def help_of(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
        context = click.Context(command, parent, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        context.help_option_names = ["-h", "--help"]
        yield f"## {context.command_path}\n\n```text\n{command.get_help(context).strip()}\n```\n"
        if isinstance(command, click.Group):
            for inner in command.list_commands(context):
                subcommand = command.get_command(context, inner)
                assert subcommand is not None
                yield from help_of(subcommand, context, inner)

    return "\n".join(help_of(cli, None, "zoo"))


def of_recipe() -> str:
    """The recipe's fields, with the flag that sets each, its default and what it does, from the options of train."""
    from zoo.cli.commands.train import command
    from zoo.training.recipe.recipe import Recipe

    options = {each.name: each for each in command.params if isinstance(each, click.Option) and not each.hidden}

    def rows() -> Iterator[tuple[str, ...]]:
        for each in fields(Recipe):
            option = options.get(each.name)
            if option is None:
                continue  # the architecture, which is an argument
            flag = max(option.opts, key=len)
            text, _, bracket = (option.help or "").partition("  [default: ")
            if not bracket and (option.help or "").startswith("[default: "):
                text, bracket = "", (option.help or "").removeprefix("[default: ")
            shown = (
                bracket.rstrip("]") if bracket else "the data set's" if each.default is MISSING else default_of(each)
            )
            yield f"`{each.name}`", f"`{flag}`", text, shown

    return table(("field in a recipe file", "flag", "what it does", "default"), rows())


def of_floors() -> str:
    """The folders of zoo with their docstrings, lowest floor first, from the test that holds them."""
    import importlib.util

    place = importlib.util.spec_from_file_location("test_floors", ROOT / "tests" / "house" / "test_floors.py")
    assert place is not None and place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)

    def rows() -> Iterator[tuple[str, ...]]:
        for name, number in sorted(module.FLOORS.items(), key=lambda item: item[1]):
            folder, file = ROOT / "zoo" / name, ROOT / "zoo" / f"{name}.py"
            if not name or name.startswith("__"):
                continue
            path = folder / "__init__.py" if folder.is_dir() else file
            text = inspect.cleandoc(compile_docstring(path)).split("\n\n")[0]
            yield str(number), f"`zoo/{name}/`" if folder.is_dir() else f"`zoo/{name}.py`", text

    return table(("floor", "folder", "what is in it"), rows())


def compile_docstring(path: Path) -> str:
    """The docstring of a module, which is not imported."""
    import ast

    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


GENERATORS: dict[str, Callable[..., str]] = {
    "commands": of_commands,
    "recipe": of_recipe,
    "fields": of_fields,
    "members": of_members,
    "api": of_api,
    "floors": of_floors,
}


def stale() -> list[Path]:
    """The pages whose generated parts are not what they would be now."""
    return [page for page in PAGES if page.is_file() and refreshed(page.read_text("utf-8")) != page.read_text("utf-8")]


def main(arguments: list[str]) -> int:
    """Write, or with `--check` only look."""
    changed = stale()
    for page in changed:
        if "--check" not in arguments:
            page.write_text(refreshed(page.read_text("utf-8")), encoding="utf-8")
        sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    return 1 if changed and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
