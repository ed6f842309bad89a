"""What other exporters check: one comparison of float32 PyTorch with onnxruntime, on one random batch.

The tolerances are each project's default, read from its source; none of these packages is imported.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def optimum(expected: Array, output: Array) -> bool:
    """`optimum.exporters.onnx`: `np.allclose(ref_value, ort_value, atol=atol)`, with 1e-5."""
    return np.allclose(expected, output, atol=1e-5)


def timm(expected: Array, output: Array) -> bool:
    """`timm/utils/onnx.py`, `onnx_export(check_forward=True)`: `assert_almost_equal(..., decimal=3)`."""
    try:
        np.testing.assert_almost_equal(expected, output, decimal=3)
    except AssertionError:
        return False
    return True


def torch_verify(expected: Array, output: Array) -> bool:
    """`torch.onnx.export(verify=True)` of torch 2.15, `torch/onnx/_internal/exporter/_core.py`, step 6.

    It warns where the largest absolute difference is 5e-3 or more, or the largest relative one 1e-1 or more; the
    relative difference is over `|expected| + 1e-7` (`_verification.py`, `_compare_tensors`).
    """
    difference = np.abs(expected - output)
    return bool(difference.max() < 5e-3 and (difference / (np.abs(expected) + np.float32(1e-7))).max() < 1e-1)


def polygraphy(expected: Array, output: Array) -> bool:
    """Polygraphy's `CompareFunc.simple`, `polygraphy/comparator/compare.py`: "elemwise", 1e-5 and 1e-5.

    An element fails where it exceeds both the absolute and the relative tolerance; the second output is the base
    of the relative one, and 2.2e-16 stands for its zeros.
    """
    base = output.astype(np.float64)
    difference = np.abs(expected.astype(np.float64) - base)
    base[base == 0] = np.finfo(np.float64).eps
    return not bool((~(difference <= 1e-5) & ~(difference / np.abs(base) <= 1e-5)).any())


RULES: Mapping[str, Callable[[Array, Array], bool]] = {
    "optimum": optimum,
    "timm": timm,
    "torch verify": torch_verify,
    "Polygraphy": polygraphy,
}


def noticed(expected: Array, output: Array) -> dict[str, bool]:
    """Which rules reject what was given. A wrong shape, or a value that is not finite, is rejected by all."""
    if expected.shape != output.shape or not np.isfinite(output).all():
        return dict.fromkeys(RULES, True)
    return {name: not accepts(expected, output) for name, accepts in RULES.items()}
