"""The whole of `zoo export resnet18`, both formats and parity, against one bare `torch.onnx.export`: at most 2.0 times.

Run: python benchmarks/export.py
"""

import sys
import tempfile
from pathlib import Path

from pairs import report, zoo

PEER = """
import sys, torch, torchvision
model = torchvision.models.resnet18(weights=None).eval()
torch.onnx.export(model, (torch.randn(2, 3, 224, 224),), sys.argv[1], dynamo=True)
"""

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        ours = [zoo(), "export", "resnet18", "--force", "-o", str(Path(folder, "resnet18"))]
        peer = [sys.executable, "-c", PEER, str(Path(folder, "bare.onnx"))]
        sys.exit(report(ours, peer, limit=2.0, n=7, packages=["torch", "torchvision", "onnx", "onnxscript"]))
