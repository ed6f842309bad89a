from zoo import Architecture, hookimpl


@hookimpl
def zoo_specs():
    yield Architecture(
        name="tiny_cnn",
        summary="Two convolutions and a linear head",
        build="zoo_tiny.model:TinyCNN",
        input_shape=(3, 32, 32),
    )
