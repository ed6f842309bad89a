"""onnxruntime's execution providers: which really work here, and sessions that never fall back to another one.

onnxruntime lists the providers that it was built with. Where the GPU or a library is not there, it prints a line and
runs on the CPU instead. Nothing here believes it before a session has run on the provider alone.
"""

import importlib
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from zoo.contract.errors import DeviceError
from zoo.contract.exporting.artifact import Backend

CUDA = "cuda"
SUFFIX = "ExecutionProvider"


def full_name(device: str) -> str | None:
    """onnxruntime's name of the provider for the device `cpu`, `cuda`, `tensorrt` and so on; `None` for no other."""
    known = {name.removesuffix(SUFFIX).lower(): name for name in onnxruntime.get_all_providers()}
    return known.get(device)


def provider_options(backend: Backend) -> dict[str, str]:
    """The options of a backend's provider: whether it may round to TF32, which onnxruntime allows by default."""
    return {"use_tf32": "1" if backend.tf32 else "0"} if backend.device == CUDA else {}


def devices() -> Mapping[str, Callable[[], str]]:
    """The devices of the providers that onnxruntime knows, built in or not, each with a check that it computes."""
    names = dict.fromkeys([*onnxruntime.get_available_providers(), *onnxruntime.get_all_providers()])
    return {name.removesuffix(SUFFIX).lower(): partial(_check, name) for name in names}


def _check(name: str) -> str:
    why = why_not(name)
    return _no_cuda_in_pytorch() if not why and name == f"CUDA{SUFFIX}" else why


def why_not(name: str) -> str:
    """Why the provider of that full name cannot compute here, as a predicate; empty where it can."""
    if name not in onnxruntime.get_available_providers():
        return f"is not built into this onnxruntime, {onnxruntime.__version__}"
    if name != f"CPU{SUFFIX}":
        importlib.import_module("torch")  # it brings the CUDA libraries that onnxruntime looks for
    onnxruntime.set_default_logger_severity(4)  # a missing library is reported below
    try:
        open_session(_one_node(), name, {})
        session = open_session(_one_node(), name, {}, exclusive=name != f"CPU{SUFFIX}")
        (output,) = session.run(None, {"x": np.array([3], np.float32)})
    except DeviceError as error:
        return f"does not load: {error.cause.rstrip('.')}"
    except Exception as error:
        return f"does not load: {(str(error).splitlines() or [type(error).__name__])[0].rstrip('.')}"
    finally:
        onnxruntime.set_default_logger_severity(2)  # its default; it has no getter
    return "" if output.tolist() == [-3] else f"computes that the negative of 3 is {output.tolist()}"


def open_session(
    model: Path | bytes,
    name: str,
    options: Mapping[str, str],
    level: onnxruntime.GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    *,
    exclusive: bool = False,
) -> Any:
    """An onnxruntime session on one provider, by its full name, that raises where it would change to another.

    Args:
        exclusive: no node may be left to the CPU. Otherwise onnxruntime leaves the arithmetic of shapes to it, as it
            is made to; see `left_to_cpu`. The CPU provider itself cannot be exclusive.

    Raises:
        DeviceError: the session does not get the provider.
        Exception: what onnxruntime raises on a file that it cannot load.
    """
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4  # its errors are raised; do not log them too
    settings.graph_optimization_level = level
    settings.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if exclusive:
        settings.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    providers = [(name, dict(options))]
    session = onnxruntime.InferenceSession(model, settings, providers=providers, enable_fallback=0)
    session.disable_fallback()  # enable_fallback is for opening it, this for running it
    if session.get_providers()[0] != name:
        got = ", ".join(session.get_providers())
        raise DeviceError(f"a session gets {got} instead.", "Install the libraries that it needs.")
    return session


def left_to_cpu(session: Any) -> tuple[int, int] | None:
    """How many of a session's nodes run on the CPU, and how many there are; `None` where onnxruntime cannot say."""
    if not hasattr(session, "get_provider_graph_assignment_info"):
        return None
    counts = [(part.ep_name, len(part.get_nodes())) for part in session.get_provider_graph_assignment_info()]
    return sum(n for name, n in counts if name == f"CPU{SUFFIX}"), sum(n for _, n in counts)


def _no_cuda_in_pytorch() -> str:
    import torch

    return "" if torch.cuda.is_available() else "works, but PyTorch has no CUDA device to measure its own rounding on"


def _one_node() -> bytes:
    import onnx  # running a file does not need it
    from onnx import TensorProto, helper

    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "negative", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(onnx.ModelProto.SerializeToString(model))
