"""What proving an export costs: all three formats with every check, against the same command with `--no-verify`.

The check may take 0.75 times as long as the export that it checks, so that the ratio may be 1.75.

Run: python benchmarks/check.py [MODEL...]
"""

import sys
import tempfile
from pathlib import Path

from pairs import report, zoo

MODELS = ("resnet18", "mobilenet_v3_small", "convnext_tiny")
PACKAGES = ("torch", "torchvision", "onnx", "onnxscript", "onnxruntime-gpu")

if __name__ == "__main__":
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for model in sys.argv[1:] or MODELS:
            print(f"{model}, fresh weights")
            peer = [zoo(), "export", model, "-f", "onnx,torchscript,pt2", "--force", "--no-verify", "-o"]
            ours = [*(word for word in peer if word != "--no-verify"), str(Path(folder, f"{model}-checked"))]
            failed += report(ours, [*peer, str(Path(folder, model))], limit=1.75, n=7, packages=PACKAGES)
    sys.exit(bool(failed))
