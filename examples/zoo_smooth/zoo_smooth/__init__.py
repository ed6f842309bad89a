from zoo import Loss, hookimpl


@hookimpl
def zoo_specs():
    yield Loss(
        name="smooth_l1",
        summary="Smooth L1 loss between probabilities and one-hot targets",
        build="zoo_smooth.loss:SmoothL1",
        target="scores",
    )
