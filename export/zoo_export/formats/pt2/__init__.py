"""PT2: what torch.export saves. The declaration alone stands here, which does not load PyTorch."""

from zoo.contract.formats import ExportFormat

PT2 = ExportFormat(
    name="pt2",
    summary="The graph of torch.export, for PyTorch and its compilers",
    suffix=".pt2",
    export="zoo_export.formats.pt2.format:export",
    runner="zoo_export.formats.pt2.format:runner",
    precisions=("fp32", "fp16"),
    devices="zoo_export.formats.torch_runner:devices",
    stages="zoo_export.formats.pt2.stages:stages",
    readme="zoo_export.formats.pt2.usage:readme",
    snippet="zoo_export.formats.pt2.usage:snippet",
    structure="zoo_export.formats.pt2.structure:structure",
    requires=("torch",),
)
