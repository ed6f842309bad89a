"""int8: quantisation changes the logits on purpose, so the classes of images are judged."""

import numpy as np

from zoo.contract.exporting.precision_rules import Measured, PrecisionRules

CLOSE = 0.05  # of the range of an image's logits: classes that are closer may change places


class Int8Rules(PrecisionRules):
    """At most 10 % of the images of a batch may move to another class."""

    tolerance = 10.0
    definition = "1 % of the images of a batch that are in another class, not counting classes that are almost tied"
    statement = "Images keep their class in int8; the same network is proven in float32."

    def measure(self, logits, truth, rounding_error):
        """The percentage of images that move."""
        chosen = np.take_along_axis(truth, logits.argmax(1)[:, None], 1)[:, 0]
        moved = truth.max(1) - chosen > CLOSE * np.ptp(truth, axis=1)
        return Measured(100 * float(moved.mean()))

    def describe(self, units):
        """In words."""
        return f"{units:.0f} % of the images in another class"


INT8 = Int8Rules()
