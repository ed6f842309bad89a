"""What an ONNX file may hold before onnxruntime loads it."""
