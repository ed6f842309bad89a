"""Check a plugin's module: its hook is there, pure and cheap."""

import subprocess
import sys

PROBE = """
import sys
from importlib import import_module
from zoo.registry.discovery import specs_of
first, second = (specs_of(import_module(sys.argv[1]), sys.argv[1]) for _ in range(2))
assert first, "zoo_specs() yields nothing"
assert first == second, "zoo_specs() yields other specs the second time"
heavy = [name for name in ("torch", "numpy", "torchvision") if name in sys.modules]
assert not heavy, f"it imports {', '.join(heavy)}; a spec holds refs, which are imported when they are used"
"""


def check_plugin(module: str) -> None:
    """Check the module that a plugin's entry point names, in a process of its own.

    Raises:
        AssertionError: it does not import, breaks the contract, yields other specs the second time, or imports
            torch, numpy or another heavy package.
    """
    ran = subprocess.run([sys.executable, "-c", PROBE, module], capture_output=True, text=True)
    if ran.returncode:
        reason = ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else f"exit code {ran.returncode}"
        raise AssertionError(f"The plugin {module} breaks the contract: {reason}")
