"""The core and the neutral part of the export layer name no format and no library that runs one."""

import re
from pathlib import Path

import pytest

from zoo_export.formats import FORMATS

ROOT = Path(__file__).parents[2]
NEUTRAL = {
    path.relative_to(ROOT).as_posix(): path
    for path in sorted([*(ROOT / "zoo").rglob("*.py"), *(ROOT / "export/zoo_export").rglob("*.py")])
    if "zoo_export/formats/" not in path.as_posix()
}
NAMES = [spec.name for spec in FORMATS]
# `onnx_ir` is found too; `openvino` and others are not: nobody here knows them.
FOREIGN = re.compile(rf"({'|'.join([*NAMES, 'onnx', r'ExecutionProvider'])})", re.IGNORECASE)


@pytest.mark.parametrize("name", NEUTRAL)
def test_no_format_is_named(name: str) -> None:
    lines = NEUTRAL[name].read_text(encoding="utf-8").splitlines()
    assert [f"{name}:{number}: {line}" for number, line in enumerate(lines, 1) if FOREIGN.search(line)] == []


def test_a_name_would_be_noticed() -> None:
    assert all(FOREIGN.search(line) for line in ("import onnxruntime", 'suffix=".pt2"', "# TorchScript is traced"))
