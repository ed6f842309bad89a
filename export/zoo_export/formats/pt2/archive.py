"""Check a PT2 archive before PyTorch loads it: plain tensors and a graph of operators, nothing that could run code.

PyTorch's loader unpickles whatever the archive marks as pickled, reads symbolic expressions with `eval`, and looks
up any function that a node names. An archive that zoo wrote asks for none of this.
"""

import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.contract.errors import ExportError

RECORDS = re.compile(
    r"models/model\.json|archive_format|archive_version|byteorder|version|\.data/\w+"
    r"|data/(weights/weight_\d+|weights/model_weights_config\.json)"
    r"|data/(constants/tensor_\d+|constants/model_constants_config\.json)|data/sample_inputs/model\.pt"
)
PAYLOAD = re.compile(r"(weight|tensor)_\d+")
TARGET = re.compile(r"torch\.ops\.\w+\.\w+(\.\w+)?|_operator\.\w+|math\.\w+|torch\.sym_\w+")
EXPRESSION = re.compile(  # of sympy's srepr, over batch and size symbols
    r"(Symbol\('[su]\d+'|(positive|integer|nonnegative)=True|(Integer|Rational|Add|Mul|Pow|Min|Max|Mod|FloorDiv)\(|-?\d+|[(),\s])+"
)


def refuse_unsafe(path: Path) -> None:
    """Raise `ExportError` where `path` is not a PT2 archive of plain tensors and operators."""
    try:
        with zipfile.ZipFile(path) as archive:
            why = _why_unsafe(archive)
    except (zipfile.BadZipFile, OSError, ValueError, LookupError, AttributeError, TypeError, RecursionError) as error:
        why = f"it is not a valid archive ({error})"
    if why:
        raise ExportError(f"PyTorch does not load {path.name}: {why}.", "Export it again.")


def _why_unsafe(archive: zipfile.ZipFile) -> str:
    names = [name.partition("/")[2] for name in archive.namelist()]
    if len(set(archive.namelist())) != len(names) or len({name.partition("/")[0] for name in archive.namelist()}) != 1:
        return "it holds a record twice, or more than one archive"
    unknown = [name for name in names if not RECORDS.fullmatch(name)]
    if unknown:
        return f"it holds {unknown[0]!r:.80}, which could run code"
    root = archive.namelist()[0].partition("/")[0]
    for kind in ("weights", "constants"):
        config = json.loads(archive.read(f"{root}/data/{kind}/model_{kind}_config.json"))["config"]
        for name, payload in config.items():
            if payload["use_pickle"] is not False or not PAYLOAD.fullmatch(payload["path_name"]):
                return f"{name!r:.80} is pickled, which could run code"
    if archive.getinfo(f"{root}/data/sample_inputs/model.pt").file_size:
        return "its sample inputs are pickled, which could run code"
    model = json.loads(archive.read(f"{root}/models/model.json"))
    if model["guards_code"]:
        return "it holds guards, which are code"
    for key, value in _strings(model):
        if key == "target" and not TARGET.fullmatch(value):
            return f"its graph calls {value!r:.80}, which is not an operator"
        if key == "expr_str" and not EXPRESSION.fullmatch(value):
            return f"it holds the expression {value!r:.80}, which could run code"
    return ""


def _strings(data: Any) -> Iterator[tuple[str, str]]:
    """Every text in `data`, with the key that it stands under."""
    stack = [("", data)]
    while stack:
        key, value = stack.pop()
        if isinstance(value, dict):
            stack.extend((str(name), item) for name, item in value.items())
        elif isinstance(value, list):
            stack.extend((key, item) for item in value)
        elif isinstance(value, str):
            yield key, value
