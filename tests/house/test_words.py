"""Plain words: the names and sentences that zoo has replaced stay replaced, in code, in help and in documents.

Three kinds are looked for: names in Python (by `ast`, so that prose is free to use the words), words and sentences in
prose (docstrings, comments, messages, help, Markdown), and flags. `python tests/house/test_words.py` lists what is
left.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import pytest

from zoo.cli.main import cli

ROOT = Path(__file__).parents[2]
CODE = {
    path.relative_to(ROOT).as_posix(): path
    for folder in ("zoo", "plugins", "export", "examples", "benchmarks")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
PAGES = {
    path.relative_to(ROOT).as_posix(): path
    for pattern in ("*.md", "docs/**/*.md", "weights/*.md", "benchmarks/*.md", "examples/**/*.md")
    for path in sorted(ROOT.glob(pattern))
    if path.name != "adversaries.md"  # it quotes messages that name operators, such as Floor
}
HISTORY = "CHANGELOG.md"  # it names what was renamed
# Readers of what release 0.1.0 wrote know its keys, and hidden options its flags.
READERS_OF_0_1_0 = {
    "zoo/training/recipe/file.py",
    "zoo/files/card.py",
    "zoo/contract/evidence/format1.py",
}


def words(text: str) -> set[str]:
    return set(text.split())


# Names of classes, functions, fields, arguments and variables that are used nowhere, whatever they are of.
NAMES = words(
    "Told Anew Places Wanted Fresh Terms Setting Ranks Resident Streamed Labelled PathList Draws Forward Average Mixed "
    "minimised judged evenly SEAL OF_SCHEDULES stored_as made_of whence told said given asked found wanted "
    "vacuous watched unwatched budget"
)
ATTRIBUTES = words("leads one_by_one torn sound variant")  # and these, as attributes
# Words that are fine elsewhere: not as members of these classes.
MEMBERS = {
    "ProcessGroup": words("leads world locals told give each largest total one_by_one"),
    "State": words("still torn sound total rows"),
    "Capture": words("once variant"),
}
EXPORT_NAMES = words("floor share sensitivity")  # in the export layer: rounding_error, coverage
MODULES = words("rivals said asked_recipe hold survey awaken refusal prepared draws still upload source")
KEYS = words("floor budget vacuous watched unwatched share")  # in JSON

# Sentences, in the few words that tell them; spaces and line breaks are alike, and case is not looked at.
SENTENCES = (
    "as the weights to begin from have it",
    "whatever was said then",
    "that one's own settings",
    "do not come along",
    "is of all together",
    "a run goes on with as many",
    "factor of the learning rate a stage below",
    "largest norm of the gradients; 0 for any",
    "batches whose gradients make a step",
    "share of the training split to choose",
    "while python imports a module waits for it",
    "go on as it says above",
    "fill no whole step",
    "fills no whole step",
    "of more of their digits",
    "nothing is lost, and all is said",
)
WORDS = re.compile(r"\b(vacuous(?:ly)?|budgets?|watched|watches|unwatched)\b", re.IGNORECASE)
FLOOR = re.compile(r"\bfloors?\b", re.IGNORECASE)
OF_THE_HOUSE = {"ARCHITECTURE.md", "CONTRIBUTING.md", HISTORY}  # where floors are folders
OLD_FLAGS = words(
    "--clip --accumulate --erase --ema --image-size --init --trivial-augment --no-trivial-augment --compile "
    "--no-compile --milestones --gamma"
)
FLAG = re.compile(rf"(?<![\w-])({'|'.join(sorted(OLD_FLAGS))})(?![\w-])")


def squeezed(text: str) -> str:
    return " ".join(text.split()).casefold()


def names_in(tree: ast.AST) -> Iterator[tuple[int, str, bool]]:
    """Line, name, and whether it is an attribute, of every name that the code defines or uses."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name):
                yield node.lineno, name, False
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name, False
            case ast.keyword(arg=str(name)):
                yield node.lineno, name, False
            case ast.alias(name=name):
                yield node.lineno, name.rpartition(".")[2], False
            case ast.Attribute(attr=name):
                yield node.lineno, name, True


def members(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Line, class and name of every member that a class defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.FunctionDef):
                    yield part.lineno, node.name, part.name
                elif isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    yield part.lineno, node.name, part.target.id


def keys(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and text of every string that is a key: of a dict, of a subscript, of `.get(...)`."""
    for node in ast.walk(tree):
        candidates: Iterable[ast.expr | None] = ()
        match node:
            case ast.Dict(keys=candidates):
                pass
            case ast.Subscript(slice=ast.Constant() as key):
                candidates = (key,)
            case ast.Call(func=ast.Attribute(attr="get" | "pop"), args=[key, *_]):
                candidates = (key,)
        for key in candidates:
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.lineno, key.value


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Line and text of every string and of every run of comments."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            yield token.start[0], token.string


def wrong_names(name: str, source: str) -> Iterator[str]:
    """What is wrong with the names of one file of code."""
    tree = ast.parse(source)
    if Path(name).stem in MODULES:
        yield f"{name}: the module's name"
    banned = NAMES | (EXPORT_NAMES if name.startswith("export/") else set())
    for line, used, attribute in names_in(tree):
        of_a_library = attribute and used == "floor"  # math.floor, torch.floor
        if (used in banned and not of_a_library) or (attribute and used in ATTRIBUTES):
            yield f"{name}:{line}: {used}"
    for line, owner, member in members(tree):
        if member in MEMBERS.get(owner, ()):
            yield f"{name}:{line}: {owner}.{member}"
    if name.startswith(("export/", "zoo/contract/evidence/")) and name not in READERS_OF_0_1_0:
        yield from (f"{name}:{line}: the key {key!r}" for line, key in keys(tree) if key in KEYS)


def wrong_prose(name: str, texts: Iterable[tuple[int, str]], *, export: bool) -> Iterator[str]:
    """The old words and sentences in texts."""
    for line, text in texts:
        plain = squeezed(text)
        yield from (f"{name}:{line}: {sentence!r}" for sentence in SENTENCES if sentence in plain)
        if " " not in text:  # a name or a key, not prose
            continue
        old = list(WORDS.findall(text)) + (FLOOR.findall(text) if export else [])
        yield from (f"{name}:{line}: the word {word!r}" for word in old)


def wrong_flags(name: str, texts: Iterable[tuple[int, str]]) -> Iterator[str]:
    """The old flags in texts."""
    for line, text in texts:
        yield from (f"{name}:{line}: {flag}" for flag in FLAG.findall(text))


def paragraphs(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each paragraph of a page, so that a sentence over two lines is seen."""
    line = 1
    for text in path.read_text(encoding="utf-8").split("\n\n"):
        yield line, text
        line += text.count("\n") + 2


def commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    """Every command of zoo, subcommands too."""
    context = click.Context(command, **cli.context_settings)
    yield " ".join(("zoo", *path)), command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, (*path, name))


def wrong_code(name: str) -> list[str]:
    """Everything that is wrong with one file of code."""
    source = CODE[name].read_text(encoding="utf-8")
    texts = list(prose(source))
    export = name.startswith("export/")
    wrong = [*wrong_names(name, source), *wrong_prose(name, texts, export=export)]
    hidden = {number for number, line in enumerate(source.splitlines(), 1) if "aliases=" in line or "hidden=" in line}
    if name not in READERS_OF_0_1_0:
        wrong += wrong_flags(name, [(line, text) for line, text in texts if line not in hidden])
    return wrong


def wrong_page(name: str) -> list[str]:
    """Everything that is wrong with one page."""
    texts = list(paragraphs(PAGES[name]))
    if name == HISTORY:
        return [line for line in wrong_prose(name, texts, export=False) if "the word" not in line]
    return [*wrong_prose(name, texts, export=name not in OF_THE_HOUSE), *wrong_flags(name, texts)]


def wrong_help() -> Iterator[str]:
    """Everything that is wrong with the help that users see."""
    for path, command in commands(cli):
        context = click.Context(command, info_name=path, **cli.context_settings)
        text = [(0, squeezed(command.get_help(context)))]
        yield from wrong_prose(f"`{path} --help`", text, export=True)
        yield from wrong_flags(f"`{path} --help`", text)


@pytest.mark.parametrize("name", CODE)
def test_code_uses_plain_words(name: str) -> None:
    assert wrong_code(name) == []


@pytest.mark.parametrize("name", PAGES)
def test_pages_use_plain_words(name: str) -> None:
    assert wrong_page(name) == []


def test_help_uses_plain_words() -> None:
    assert list(wrong_help()) == []


def test_old_words_would_be_noticed() -> None:
    source = '''class State:
    """Judged by the budget,
    whatever was said then."""
    rows: int
def f(told, *, x): return told.variant, {"floor": x["watched"]}
'''
    assert len(list(wrong_names("export/x.py", source))) == 6
    assert len(list(wrong_prose("x", prose(source), export=True))) == 2
    assert list(wrong_flags("x", [(1, "zoo train --init A --initial-checkpoint B --ema 0.9 --model-ema-decay 1")])) == [
        "x:1: --init",
        "x:1: --ema",
    ]


if __name__ == "__main__":
    for line in [
        *(line for name in CODE for line in wrong_code(name)),
        *(x for name in PAGES for x in wrong_page(name)),
    ]:
        print(line)  # noqa: T201
    print(*wrong_help(), sep="\n")  # noqa: T201
