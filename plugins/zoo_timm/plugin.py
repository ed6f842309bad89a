"""timm's models, as a collection whose specs are made from an index, without importing timm or torch."""

from collections.abc import Iterable

from zoo import Collection, Spec, hookimpl


@hookimpl
def zoo_specs() -> Iterable[Spec]:
    """Declare the collection: `timm/NAME` for each model of timm."""
    yield Collection(
        name="timm",
        summary="Every model of timm, with its published weights",
        names="zoo_timm.specs:names",
        architecture="zoo_timm.specs:architecture",
        requires=("timm>=1.0",),
    )
