"""Write the generated parts of the documents: help texts, the recipe's table, fields of specs, the Python API.

A part lies between `<!-- generated: NAME -->` and `<!-- end of NAME -->`. Everything else is written by hand.

Run: python docs/generate.py            (writes what has changed, and names it)
     python docs/generate.py --check    (writes nothing; exits with 1 where something is stale)
"""

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PART = re.compile(r"<!-- generated: (?P<name>.+?) -->\n.*?<!-- end of (?P=name) -->", re.DOTALL)
WIDTH = 96
SECTION = re.compile(r"^(Args|Returns|Raises|Yields|Attributes|Example):$")


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
            part, names = parts.setdefault(heading[1], {}), []
        elif part is None:
            prose.append(line)
        elif heading is None and list(parts)[-1] == "Example":
            part[""] = f"{part.get('', '')}{line.removeprefix('    ')}\n"
        elif part is parts.get("Returns"):
            part[""] = f"{part.get('', '')} {line.strip()}".strip()
        elif entry := re.match(r"    (\*{0,2}\w[\w., *]*): (.*)", line):
            names = [name.strip() for name in entry[1].split(",")]
            part.update(dict.fromkeys(names, entry[2]))
        elif line.strip() and names:
            part.update({name: f"{part[name]} {line.strip()}" for name in names})
        elif line.strip():
            part[""] = f"{part.get('', '')} {line.strip()}".strip()
    return "\n".join(prose).strip(), parts


def written(value: Any) -> str:
    """A type as a reader would write it."""
    text = value if isinstance(value, str) else inspect.formatannotation(value)
    text = re.sub(
        r"numpy\.ndarray\[tuple\[.*?\], numpy\.dtype\[.*?\]\]", "ndarray", text.replace("'", "").replace('"', "")
    )
    return re.sub(r"\b(?:zoo|typing|collections\.abc|pathlib|os|torch\.nn\.modules\.module)\.(?:\w+\.)*", "", text)


def default_of(each: "Field[Any]") -> str:
    """The default of a field of a dataclass, in code; in a word where it has none or is a function."""
    if callable(each.default):
        return "optional"
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


def of_own_fields(name: str) -> str:
    """The table of the fields of a spec that not every spec has."""
    return of_fields(name, without=tuple(each.name for each in fields(load("zoo.contract.specs:Spec"))))


def of_fields(name: str, without: tuple[str, ...] = ()) -> str:
    """The table of a dataclass's fields, from its docstring and those of the classes that it derives from."""
    kind = load(name)
    described: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        if is_dataclass(each) and each.__doc__:
            described |= sections(each.__doc__)[1].get("Args", {})
    shown = [each for each in fields(kind) if each.name not in without and each.repr]
    missing = [each.name for each in shown if each.name not in described]
    if missing:
        raise ValueError(f"{name} does not document {', '.join(missing)}")
    return table(
        ("field", "default", "what it is"),
        ((f"`{each.name}`", default_of(each), described[each.name]) for each in shown),
    )


def of_attributes(name: str) -> str:
    """The table of the attributes that a protocol's docstring documents."""
    described = sections(load(name).__doc__ or "")[1]["Attributes"]

    def rows() -> Iterator[tuple[str, ...]]:
        for attribute, text in described.items():
            value = getattr(load(name), attribute, MISSING)
            yield f"`{attribute}`", "required" if value is MISSING else f"`{value!r}`", text

    return table(("attribute", "default", "what it is"), rows())


def of_members(name: str) -> str:
    """The table of the properties and methods of a protocol or class, from their docstrings."""
    kind = load(name)

    def rows() -> Iterator[tuple[str, ...]]:
        members = {name: value for each in reversed(kind.__mro__) for name, value in vars(each).items()}
        for member, value in members.items():
            attribute = isinstance(value, property | cached_property)
            if member.startswith("_") or not (attribute or inspect.isfunction(value)):
                continue
            function = getattr(value, "fget", None) or getattr(value, "func", None) or value
            result = written(inspect.signature(function).return_annotation)
            shown = f"{member}: {result}" if attribute else f"{member}{_signature(function, drop_self=True)}"
            yield f"`{shown}`", sections(function.__doc__ or "")[0]

    return table(("member", "what it is"), rows())


def of_class(name: str) -> str:
    """A dataclass: what it is, its fields, and its properties and methods."""
    kind = load(name)
    parts = [sections(kind.__doc__ or "")[0], of_fields(name), of_members(name)]
    return "\n\n".join(part for part in parts if part.count("\n") != 1)  # a table of two lines is an empty one


def of_errors() -> str:
    """The tree of errors, with the exit code of the command line and when each is raised."""
    from zoo.contract import errors

    def rows() -> Iterator[tuple[str, ...]]:
        for name, kind in vars(errors).items():
            if inspect.isclass(kind) and issubclass(kind, errors.ZooError):
                yield f"`{name}`", str(kind.exit_code), sections(kind.__doc__ or "")[0]

    return table(("error", "exit code", "raised when"), rows())


def _parameters(function: Callable[..., Any], *, drop_self: bool = False) -> Iterator[str]:
    """The parameters of a function as a reader would write them, `*` included."""
    keyword_only = False
    for each in inspect.signature(function).parameters.values():
        if drop_self and each.name == "self":
            continue
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            yield "*"
        if each.kind is each.VAR_KEYWORD:
            yield f"**{each.name}"
            continue
        kind = "" if each.annotation is each.empty else f": {written(each.annotation)}"
        default = "" if each.default is each.empty else f"{' = ' if kind else '='}{each.default!r}"
        yield f"{each.name}{kind}{default}"


def _signature(function: Callable[..., Any], *, drop_self: bool = False) -> str:
    result = inspect.signature(function).return_annotation
    arrow = "" if result is inspect.Signature.empty else f" -> {written(result)}"
    return f"({', '.join(_parameters(function, drop_self=drop_self))}){arrow}"


def of_api(name: str) -> str:
    """A function's or class's signature, what it does, its arguments, result and errors."""
    subject = load(name)
    shown = f"zoo.{name.partition(':')[2]}" if name.startswith("zoo:") else name.replace(":", ".")
    title = shown.rpartition(".")[2] if not name.startswith("zoo:") else shown
    prose, parts = sections(subject.__doc__ or "")
    _refuse_undocumented(name, subject, parts.get("Args", {}))
    text = f"```text\n{_wrapped(title, subject)}\n```\n\n{prose}\n"
    if arguments := parts.get("Args"):
        text += "\n" + "\n".join(f"- `{key}`: {' '.join(value.split())}" for key, value in arguments.items()) + "\n"
    if returns := parts.get("Returns"):
        text += f"\nReturns: {returns['']}\n"
    if raises := parts.get("Raises"):
        text += "\nRaises:\n\n" + "".join(f"- `{key}`: {value}\n" for key, value in raises.items())
    return text


def _refuse_undocumented(name: str, subject: Any, described: Mapping[str, str]) -> None:
    """Fail where a parameter has no text, or one that is about several."""
    names = [each for each in inspect.signature(subject).parameters if each != "self"]
    missing = [each for each in names if each not in described]
    shared = [each for each in names if [*described.values()].count(described.get(each, "")) > 1]
    if missing or shared:
        raise ValueError(f"{name} does not document {', '.join(missing or shared)} by itself")


def _wrapped(title: str, subject: Any) -> str:
    """A signature with one parameter a line where it is long."""
    whole = f"{title}{_signature(subject)}"
    if len(whole) <= WIDTH:
        return whole
    _, arrow, result = whole.rpartition(" -> ")
    inner = "".join(f"    {line},\n" for line in _parameters(subject))
    return f"{title}(\n{inner}){arrow}{result}"


def of_checks() -> str:
    """The functions of the conformance kit: what each checks, and what it finds."""
    import zoo.testing

    def rows() -> Iterator[tuple[str, ...]]:
        for name in zoo.testing.__all__:
            function = getattr(zoo.testing, name)
            if not inspect.isfunction(function):
                continue
            prose, parts = sections(function.__doc__ or "")
            first = prose.split("\n\n")[0]
            yield f"`{name}{_signature(function)}`", first, parts.get("Raises", {}).get("AssertionError", "")

    return table(("check", "what it does", "it fails if"), rows())


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
    """The recipe's fields, with the flag that sets each, its default and what it does."""
    from zoo.training.recipe.table import markdown_table

    return markdown_table()


def _house(name: str) -> Any:
    """What `tests/house/test_floors.py` holds under a name."""
    place = importlib.util.spec_from_file_location("test_floors", ROOT / "tests" / "house" / "test_floors.py")
    assert place is not None and place.loader is not None
    module = importlib.util.module_from_spec(place)
    place.loader.exec_module(module)
    return getattr(module, name)


def _floors(floors: Mapping[str, int], package: Path) -> str:
    def rows() -> Iterator[tuple[str, ...]]:
        for name, number in sorted(floors.items(), key=lambda item: item[1]):
            if name and not name.startswith("__"):
                folder = package / name
                path = folder / "__init__.py" if folder.is_dir() else package / f"{name}.py"
                text = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").split("\n\n")[0]
                shown = folder.relative_to(ROOT).as_posix() + ("/" if folder.is_dir() else ".py")
                yield str(number), f"`{shown}`", text

    return table(("floor", "folder or file", "what is in it"), rows())


def of_floors() -> str:
    """The folders of zoo with their docstrings, lowest floor first, from the test that holds them."""
    return _floors(_house("FLOORS"), ROOT / "zoo")


def of_export_floors() -> str:
    """Likewise of zoo_export."""
    return _floors(_house("EXPORT_FLOORS"), ROOT / "export" / "zoo_export")


def of_triggers() -> str:
    """The forged files of `benchmarks/adversaries.py` with a secret trigger, and why no sample of images finds them."""

    def rows() -> Iterator[tuple[str, ...]]:
        for path in sorted((ROOT / "benchmarks" / "adversary").glob("*.py")):
            for node in ast.parse(path.read_text("utf-8")).body:
                for call in node.decorator_list if isinstance(node, ast.FunctionDef) else ():
                    if isinstance(call, ast.Call) and call.keywords and call.keywords[0].arg == "trigger":
                        yield node.name.replace("_", " "), ast.literal_eval(call.keywords[0].value)

    return table(("forged file", "why no sample of images finds it"), rows())


def _faults(faults: Iterable[Any]) -> str:
    rows = (
        (
            f"`{each.name}`",
            f"{each.library}: {each.versions}",
            each.symptom,
            each.found_in,
            each.change,
            f"`{each.test}`",
        )
        for each in faults
    )
    return table(("name", "library and versions", "fault", "found in", "what is done", "test"), rows)


def of_miscompilations() -> str:
    """The known faults that an export avoids by changing its graph."""
    from zoo_export.formats.onnx.miscompilations import KNOWN

    return _faults(fault for fault, _ in KNOWN)


def of_translations() -> str:
    """The known gaps of PyTorch's exporter that zoo fills."""
    from zoo_export.formats.onnx.translations import GAPS

    return _faults(fault for fault, _ in GAPS)


GENERATORS: dict[str, Callable[..., str]] = {
    "commands": of_commands,
    "recipe": of_recipe,
    "fields": of_fields,
    "own-fields": of_own_fields,
    "checks": of_checks,
    "class": of_class,
    "errors": of_errors,
    "export-floors": of_export_floors,
    "members": of_members,
    "miscompilations": of_miscompilations,
    "attributes": of_attributes,
    "api": of_api,
    "floors": of_floors,
    "translations": of_translations,
    "triggers": of_triggers,
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
