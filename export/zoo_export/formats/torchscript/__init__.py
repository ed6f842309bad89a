"""TorchScript: traced and frozen. The declaration alone stands here, which does not load PyTorch."""

from zoo.contract.formats import ExportFormat

TORCHSCRIPT = ExportFormat(
    name="torchscript",
    summary="Traced and frozen TorchScript, for libtorch",
    suffix=".torchscript",
    export="zoo_export.formats.torchscript.format:export",
    runner="zoo_export.formats.torchscript.format:runner",
    precisions=("fp32", "fp16"),
    devices="zoo_export.formats.torch_runner:devices",
    stages="zoo_export.formats.torchscript.stages:stages",
    readme="zoo_export.formats.torchscript.usage:readme",
    snippet="zoo_export.formats.torchscript.usage:snippet",
    structure="zoo_export.formats.torchscript.structure:structure",
    operators="zoo_export.formats.torchscript.counts:counts",
    requires=("torch",),
    default=True,
)
