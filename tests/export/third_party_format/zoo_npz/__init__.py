"""A third-party plugin: models as a JSON graph and an npz of weights, in float32 or int8, interpreted with numpy."""

from zoo import ExportFormat, Precision, hookimpl


@hookimpl
def zoo_specs():
    yield ExportFormat(
        name="npz",
        summary="JSON graph and npz weights, for numpy",
        files={"graph": ".json", "weights": ".npz"},
        export="zoo_npz.writing:export",
        runner="zoo_npz.running:runner",
        precisions=("fp32", "int8"),
        stages="zoo_npz.stages:stages",
        readme="zoo_npz.usage:readme",
        snippet="zoo_npz.usage:snippet",
        requires=("numpy",),
    )
    yield Precision(
        name="int8",
        summary="Weights in 8-bit integers, judged by the classes that images keep",
        rules="zoo_npz.int8:INT8",
    )
