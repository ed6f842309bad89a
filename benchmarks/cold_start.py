"""Start-up: `zoo list` against a Python that imports click and pluggy, and with the collection timm against without.

The first reads the entry points, too: `zoo list` takes at most 2.0 times as long. With the 1,371 names of timm, `zoo
list` and `zoo --help` take at most 1.4 times as long as without.

Run: python benchmarks/cold_start.py
"""

import sys

from pairs import report, zoo

PEER = "import click, pluggy; from importlib.metadata import entry_points; list(entry_points(group='zoo'))"
START = """
import sys
from importlib.metadata import entry_points
from zoo.registry import discovery
left_out = sys.argv.pop(1)
discovery.entry_points = lambda group: [each for each in entry_points(group=group) if each.name != left_out]
from zoo.cli.main import main
main()
"""


def _start(left_out: str, argument: str) -> list[str]:
    return [sys.executable, "-c", START, left_out, argument]


if __name__ == "__main__":
    packages = ["click", "pluggy", "timm"]
    failed = report([zoo(), "list"], [sys.executable, "-c", PEER], limit=2.0, n=21, packages=packages)
    for argument in ("list", "--help"):
        print(f"zoo {argument}, with timm's names and without:")
        failed |= report(_start("none", argument), _start("timm", argument), limit=1.4, n=21, packages=packages)
    sys.exit(failed)
