"""Check the module of a plugin: its hook returns specs, and imports nothing heavy."""

import subprocess
import sys

PROBE = """
import sys
from importlib import import_module
from zoo.contract.specs import Architecture, Collection
from zoo.registry.discovery import Plugin, specs_of
from zoo.registry.registry import Registry
first, second = (specs_of(import_module(sys.argv[1]), sys.argv[1]) for _ in range(2))
assert first, "zoo_specs() returns no specs"
assert first == second, "zoo_specs() returns other specs in the second call"
for collection in (spec for spec in first if isinstance(spec, Collection)):
    registry = Registry([Plugin("checked", "checked", "0", (collection,))])
    assert registry.entries(Architecture), f"the collection {collection.name} has no architectures"
heavy = [name for name in ("torch", "numpy", "torchvision") if name in sys.modules]
assert not heavy, f"it imports {', '.join(heavy)}; move the import into the modules that the refs name"
"""


def check_plugin(module: str) -> None:
    """Check the module of a plugin's entry point, in a new process.

    Raises:
        AssertionError: the module cannot be imported, violates the contract, returns other specs in a second call, or
            imports torch, numpy or another heavy package; or a collection cannot make the specs that it names, or
            imports such a package for them.
    """
    ran = subprocess.run([sys.executable, "-c", PROBE, module], capture_output=True, text=True)
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else f"exit code {ran.returncode}"
        raise AssertionError(f"The plugin {module} violates the contract: {reason}")
