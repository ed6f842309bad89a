"""`zoo list` against a Python that imports click and pluggy and reads the entry points: at most 2.0 times.

Run: python benchmarks/cold_start.py
"""

import sys

from pairs import report, zoo

PEER = "import click, pluggy; from importlib.metadata import entry_points; list(entry_points(group='zoo'))"

if __name__ == "__main__":
    sys.exit(report([zoo(), "list"], [sys.executable, "-c", PEER], limit=2.0, n=21, packages=["click", "pluggy"]))
