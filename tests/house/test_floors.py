"""Imports run downward only: read from the sources with `ast`, every import counts, lazy ones included."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The folders are the floors. A file imports zoo's folders below its own; files of one folder may import each other.
FLOORS = {
    "version": 0,
    "contract": 1,
    "files": 2,
    "registry": 3,
    "containment": 4,
    "data": 4,
    "models": 5,
    "evaluation": 6,
    "report": 7,
    "training": 8,
    "testing": 9,
    "api": 10,
    "cli": 11,
    "__main__": 12,  # `python -m zoo`
    "": 12,  # zoo/__init__.py, the face of the package
}
# Likewise in the export layer. The formats are at the top: nothing but the plugin's declaration imports them.
EXPORT_FLOORS = {
    "capture": 1,
    "devices": 1,
    "installation": 1,
    "reasons": 0,
    "containment": 1,
    "signatures": 1,
    "probes": 2,
    "truth": 2,
    "artifacts": 2,
    "precisions": 3,
    "parity": 4,
    "blame": 5,
    "failures": 5,
    "runners": 5,
    "evidence": 6,
    "bundle": 7,
    "pipeline": 8,
    "sign": 8,
    "verification": 8,
    "verify": 9,
    "single_file": 9,
    "commands": 10,
    "open_artifact": 10,
    "formats": 10,
    "plugin": 11,
    "": 12,
}
WITH_TENSORS = 4  # folders below know neither torch nor numpy, but for the files named here
READS_TENSORS = {"files/weights.py"}
HEAVY = {"torch", "torchvision", "torchinfo", "numpy", "PIL", "safetensors", "matplotlib", "tensorboard"}
ONNX = {"onnx", "onnxruntime", "onnxscript", "onnx_ir"}
PACKAGES = {
    path.name: path
    for folder in (ROOT / "plugins", ROOT / "export")
    for path in sorted(folder.iterdir())
    if (path / "__init__.py").is_file()
}
MODULES = {path.relative_to(ROOT / "zoo").as_posix(): path for path in sorted((ROOT / "zoo").rglob("*.py"))}
EXPORT = {
    path.relative_to(PACKAGES["zoo_export"]).as_posix(): path for path in sorted(PACKAGES["zoo_export"].rglob("*.py"))
}
ROOMS = [*sorted({path.parent.relative_to(ROOT).as_posix() for path in MODULES.values()} - {"zoo"}), *PACKAGES]


def imported(path: Path, *, for_types: bool = True) -> Iterator[str]:
    """The dotted names that a file imports; `from a import b` counts as `a.b`.

    Args:
        for_types: count what only a type checker imports, too.
    """
    tree = ast.parse(path.read_text(), str(path))
    if not for_types:
        tree = Executed().visit(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


class Executed(ast.NodeTransformer):
    """Leaves out `if TYPE_CHECKING:`."""

    def visit_If(self, node: ast.If) -> ast.AST | None:
        return None if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)


def tops(path: Path, *, for_types: bool = True) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.partition(".")[0] for name in imported(path, for_types=for_types)}


def room(name: str) -> str:
    """The room in zoo that a dotted name `zoo.x.y` leads to; the empty one is zoo itself."""
    first = [*name.split("."), ""][1]
    return first if (ROOT / "zoo" / first).is_dir() or (ROOT / "zoo" / f"{first}.py").is_file() else ""


def own_room(name: str) -> str:
    first = name.partition("/")[0].removesuffix(".py")
    return "" if first == "__init__" else first


def is_light(name: str) -> bool:
    return FLOORS.get(own_room(name), 0) < WITH_TENSORS and name not in READS_TENSORS


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_zoo_imports_only_floors_below_its_own(name: str) -> None:
    here = own_room(name)
    assert here in FLOORS, f"zoo/{name} has no floor: put {here!r} into FLOORS where it belongs"
    for target in imported(MODULES[name]):
        if target.partition(".")[0] == "zoo" and room(target) != here:
            assert FLOORS[room(target)] < FLOORS[here], f"zoo/{name} imports {target}, which is not on a floor below"


def test_the_floors_name_only_rooms_that_exist() -> None:
    assert set(FLOORS) - {own_room(name) for name in MODULES} == set()
    assert set(EXPORT_FLOORS) - {own_room(name) for name in EXPORT} == set()


@pytest.mark.parametrize("name", EXPORT)
def test_export_modules_import_lower_floors_only(name: str) -> None:
    here = own_room(name)
    assert here in EXPORT_FLOORS, f"zoo_export/{name} has no floor: put {here!r} into EXPORT_FLOORS where it belongs"
    for target in imported(EXPORT[name]):
        there = [*target.split("."), ""][1] if target.startswith("zoo_export") else here
        if there != here:
            assert EXPORT_FLOORS[there] < EXPORT_FLOORS[here], f"zoo_export/{name} imports {target} from above"


@pytest.mark.parametrize(
    "name", [name for name in MODULES if FLOORS.get(own_room(name), 0) < WITH_TENSORS and name not in READS_TENSORS]
)
def test_the_lower_floors_know_neither_torch_nor_numpy(name: str) -> None:
    assert not tops(MODULES[name], for_types=False) & HEAVY


@pytest.mark.parametrize("name", MODULES)
def test_zoo_names_no_plugin_and_knows_nothing_of_onnx(name: str) -> None:
    found = tops(MODULES[name])
    assert not found & ONNX
    assert not {top for top in found if top.startswith("zoo_")}
    assert not found & set(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_plugins_and_export_import_zoo_and_never_each_other(package: str) -> None:
    allowed = {package, "zoo"} | ({"zoo_runtime"} if package == "zoo_export" else set())
    for path in sorted(PACKAGES[package].rglob("*.py")):
        ours = {top for top in tops(path) if top == "zoo" or top.startswith("zoo_")}
        assert ours <= allowed, f"{path.relative_to(ROOT)} imports {', '.join(sorted(ours - allowed))}"


def test_the_plugins_know_nothing_of_onnx() -> None:
    for path in sorted((ROOT / "plugins").rglob("*.py")):
        assert not tops(path) & ONNX, path.relative_to(ROOT)


def test_the_runtime_imports_neither_zoo_nor_torch() -> None:
    files = sorted(PACKAGES["zoo_runtime"].rglob("*.py"))
    assert files
    for path in files:
        assert not tops(path) & {"zoo", "zoo_export", "torch", "torchvision", "safetensors"}, path.relative_to(ROOT)


@pytest.mark.parametrize("package", [name for name in PACKAGES if (PACKAGES[name] / "plugin.py").is_file()])
def test_a_plugin_declares_itself_without_anything_heavy(package: str) -> None:
    assert not tops(PACKAGES[package] / "plugin.py") & (HEAVY | ONNX)


@pytest.mark.parametrize("package", ROOMS)
def test_the_files_of_a_room_import_each_other_in_no_circle(package: str) -> None:
    folder = PACKAGES.get(package, ROOT / package)
    prefix = package.replace("/", ".")
    graph = {
        path.stem: {name.split(".")[prefix.count(".") + 1] for name in _at_load(path) if name.startswith(f"{prefix}.")}
        for path in folder.glob("*.py")
    }
    while True:
        free = [name for name, needs in graph.items() if not needs & set(graph)]
        if not free:
            break
        graph = {name: needs for name, needs in graph.items() if name not in free}
    assert not graph, f"these import each other in a circle: {', '.join(sorted(graph))}"


def _at_load(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
