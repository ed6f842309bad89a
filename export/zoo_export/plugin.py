"""What the export layer declares: its formats, and the commands that use them."""

from collections.abc import Iterable

from zoo import Command, ExportFormat, Spec, hookimpl

COMMANDS = {
    "export": "Export a model, and prove that the artifacts compute what the model computes",
    "verify": "Replay the proof of an export folder where it now is",
    "predict": "Classify images with an export folder, a weights file or an architecture",
    "doctor": "Show versions, devices, onnxruntime providers that really load, and folders",
}


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """Declare formats and commands."""
    yield ExportFormat(
        name="onnx",
        summary="ONNX graph, for onnxruntime and others",
        suffix=".onnx",
        export="zoo_export.formats.onnx.format:export",
        runner="zoo_export.formats.onnx.format:runner",
        requires=("onnx", "onnxscript", "onnxruntime"),
    )
    yield ExportFormat(
        name="torchscript",
        summary="Traced and frozen TorchScript, for libtorch",
        suffix=".torchscript",
        export="zoo_export.formats.torchscript.format:export",
        runner="zoo_export.formats.torchscript.format:runner",
    )
    yield ExportFormat(
        name="pt2",
        summary="The graph of torch.export, for PyTorch and its compilers",
        suffix=".pt2",
        export="zoo_export.formats.pt2.format:export",
        runner="zoo_export.formats.pt2.format:runner",
    )
    for name, summary in COMMANDS.items():
        yield Command(name=name, summary=summary, run=f"zoo_export.commands.{name}:command")
