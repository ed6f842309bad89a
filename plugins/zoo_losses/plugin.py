"""What this package provides: data alone, so that a listing loads neither torch nor numpy."""

from collections.abc import Iterator

from zoo import Loss, Param, hookimpl

CLASS_WEIGHTS = Param(default=(), summary="one weight for each class; none counts all alike")


@hookimpl
def zoo_specs() -> Iterator[Loss]:
    """The losses, by name."""
    yield Loss(
        name="bce_with_logits",
        summary="Binary cross-entropy of each class by itself",
        build="zoo_losses.losses:BCEWithLogits",
        target="scores",
        params={"pos_weight": Param(default=(), summary="one weight for each class's positive examples")},
    )
    yield Loss(
        name="cross_entropy",
        summary="Cross-entropy of the softmax, for class indices or class probabilities",
        build="zoo_losses.losses:CrossEntropy",
        target="either",
        params={
            "label_smoothing": Param(default=0.0, summary="share of each target spread over all classes, 0 to 1"),
            "class_weights": CLASS_WEIGHTS,
        },
    )
    yield Loss(
        name="focal",
        summary="Cross-entropy that counts well-classified examples less",
        build="zoo_losses.losses:Focal",
        params={
            "gamma": Param(default=2.0, summary="how much less, from 0 for plain cross-entropy"),
            "class_weights": CLASS_WEIGHTS,
        },
    )
    yield Loss(
        name="mse",
        summary="Mean squared difference between logits and one-hot targets",
        build="zoo_losses.losses:MSE",
        target="scores",
    )
    yield Loss(
        name="multi_margin",
        summary="Hinge: the right class must lead every other by a margin",
        build="zoo_losses.losses:MultiMargin",
        params={
            "p": Param(default=1, choices=(1, 2), summary="power of the hinge"),
            "margin": Param(default=1.0, summary="the lead that is asked for, positive"),
        },
    )
