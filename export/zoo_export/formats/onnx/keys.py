"""The keys under which zoo keeps what an ONNX file says of itself in its metadata."""

NAME, LABELS, PREPROCESS = "zoo.name", "zoo.labels", "zoo.preprocess"
