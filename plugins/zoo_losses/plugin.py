"""The specs of this plugin. Imports neither torch nor numpy."""

from collections.abc import Iterator

from zoo import Loss, Param, hookimpl

CLASS_WEIGHTS = Param(default=(), summary="one weight per class; empty for equal weights")


@hookimpl
def zoo_specs() -> Iterator[Loss]:
    """The losses, by name."""
    yield Loss(
        name="bce_with_logits",
        summary="Binary cross-entropy of each class",
        build="zoo_losses.losses:BCEWithLogits",
        target="scores",
        params={"pos_weight": Param(default=(), summary="one weight per class for positive examples")},
    )
    yield Loss(
        name="cross_entropy",
        summary="Softmax cross-entropy, for class indices or class probabilities",
        build="zoo_losses.losses:CrossEntropy",
        target="either",
        params={
            "label_smoothing": Param(default=0.0, summary="label smoothing, 0 to 1"),
            "class_weights": CLASS_WEIGHTS,
        },
    )
    yield Loss(
        name="focal",
        summary="Cross-entropy with less weight on well-classified examples",
        build="zoo_losses.losses:Focal",
        params={
            "gamma": Param(default=2.0, summary="focusing parameter; 0 is plain cross-entropy"),
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
        summary="Multi-class hinge loss",
        build="zoo_losses.losses:MultiMargin",
        params={
            "p": Param(default=1, choices=(1, 2), summary="exponent of the hinge, 1 or 2"),
            "margin": Param(default=1.0, summary="margin, positive"),
        },
    )
