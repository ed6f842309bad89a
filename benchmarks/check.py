"""What proving an export costs: all three formats with every check, against the same command with `--no-verify`.

The check may take 0.75 times as long as the export that it checks, so that the ratio may be 1.75.

Run: python benchmarks/check.py [--pairs N] [MODEL...]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from pairs import report, zoo

MODELS = ("resnet18", "mobilenet_v3_small", "convnext_tiny")
PACKAGES = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime-gpu")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--pairs", type=int, default=7)
    options = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            print(f"{model}, fresh weights", flush=True)
            command = [zoo(), "export", model, "-f", "onnx,torchscript,pt2", "--force", "-o"]
            ours = [*command, str(Path(folder, "checked"))]
            peer = [*command, str(Path(folder, "plain")), "--no-verify"]
            failed += report(ours, peer, limit=1.75, n=options.pairs, packages=PACKAGES)
    sys.exit(bool(failed))
