"""ONNX: written by PyTorch, run by onnxruntime. The declaration alone stands here, which loads neither."""

from zoo.contract.formats import ExportFormat

ONNX = ExportFormat(
    name="onnx",
    summary="ONNX graph, for onnxruntime and others",
    suffix=".onnx",
    optional_files={"tensors": ".onnx.data"},
    export="zoo_export.formats.onnx.format:export",
    runner="zoo_export.formats.onnx.runner:runner",
    precisions=("fp32", "fp16"),
    opsets=(18, 23),  # PyTorch's exporter writes 18 where less is asked for; onnx 1.18 knows 23
    devices="zoo_export.formats.onnx.providers:devices",
    stages="zoo_export.formats.onnx.stages:stages",
    readme="zoo_export.formats.onnx.usage:readme",
    snippet="zoo_export.formats.onnx.usage:snippet",
    claims="zoo_export.formats.onnx.claims:claims",
    structure="zoo_export.formats.onnx.structure:structure",
    replace="zoo_export.formats.onnx.replaced:replace",
    installation="zoo_export.formats.onnx.installation:installation",
    requires=("onnx", "onnxscript", "onnxruntime"),
    default=True,
)
