"""How a TorchScript archive is built: read from its records, as the loader does, without loading a module."""

import hashlib
import re
from collections import Counter
from typing import Any

import numpy as np

from zoo.contract.exporting.artifact import Array, Paths
from zoo.contract.exporting.inspection import Structure
from zoo.files.regular import open_regular
from zoo_export.formats.pytorch_archive import TEXT_LIMIT, Archive, refusing
from zoo_export.formats.torch_operators import CONDITIONAL, RANDOM, WITH_MODE
from zoo_export.formats.torchscript.archive import OWN, VERSIONS

CALL = re.compile(r"(?:torch|ops\.\w+)\.(\w+)\(")
BRANCH = re.compile(r"^\s*(if|while|for)\b", re.MULTILINE)
COMPARE = re.compile(r"[^=!<>](==|!=|<=|>=|<|>)[^=<>]")
ASSIGNED = re.compile(r"^\s*self(\.\w+)+ = ", re.MULTILINE)
CHANGED = re.compile(r"(?:torch|ops\.\w+)\.(\w+[^_]_)\(self\b")
LONGEST = 10_000  # characters of a call's arguments


def structure(paths: Paths) -> Structure:
    """Read the source and the tensors that are stored in the archive.

    Raises:
        ExportError: it is no archive, or one that two readers see differently.
    """
    with refusing(paths.main.name), open_regular(paths.main) as file:
        archive = Archive(file, TEXT_LIMIT)
        kept = {name: archive.read(name) for name in archive.names if not _is_the_writers(name)}
    source = {name: text.decode("utf-8", "replace") for name, text in kept.items() if name.endswith(".py")}
    versions = {name: text.decode("utf-8", "replace") for name, text in kept.items() if name in VERSIONS}
    operators, conditional, random = Counter[str](), Counter[str](), list[str]()
    for text in source.values():
        for call in CALL.finditer(text):
            name = call[1]
            operators[name] += 1
            conditional[name] += name in CONDITIONAL
            if name in RANDOM:
                random.append(name)
            elif name in WITH_MODE and _argument(text[call.end() : call.end() + LONGEST], WITH_MODE[name]) == "True":
                random.append(f"{name} in training mode")
        for kind, pattern in (("branch", BRANCH), ("comparison", COMPARE), ("change of itself", ASSIGNED)):
            conditional[kind] += len(pattern.findall(text))
        conditional["change of itself"] += len(CHANGED.findall(text))
    return Structure(
        graph=_sha(source | versions),  # the version decides what some operators mean
        values=_sha(kept),
        tensors=tuple(_numbers(kept[name]) for name in sorted(kept) if re.fullmatch(r"\w+/\d+", name)),
        operators=dict(sorted(operators.items())),
        random=tuple(dict.fromkeys(random)),
        conditional={name: count for name, count in sorted(conditional.items()) if count},
    )


def _is_the_writers(name: str) -> bool:
    """Whether a record says nothing of the module: debug notes, and what the archive's writer adds itself."""
    return name.endswith(".debug_pkl") or name in OWN


def _argument(text: str, place: int) -> str:
    """The argument of a call at that place, where `text` begins behind the call's parenthesis."""
    depth, arguments = 0, [""]
    for letter in text:
        depth += letter in "([" or -(letter in ")]")
        if depth < 0:
            break
        if letter == "," and not depth:
            arguments.append("")
        else:
            arguments[-1] += letter
    return arguments[place].strip() if place < len(arguments) else "False"


def _numbers(record: bytes) -> Array:
    """The bytes of a tensor, of a dtype that the record does not say, as if it were float32."""
    content: Array = np.frombuffer(record[: len(record) // 4 * 4], "<f4")
    return content


def _sha(records: dict[str, Any]) -> str:
    sha = hashlib.sha256()
    for name, content in sorted(records.items()):
        data = content if isinstance(content, bytes) else content.encode()
        sha.update(f"{name} {len(data)}\n".encode() + data)
    return sha.hexdigest()
