"""ONNX: written by PyTorch, run by onnxruntime."""
