"""From the body of `zoo export` to PyTorch's exporter there are at most five calls: the way can be read."""

import inspect
from types import FrameType
from typing import Any

import torch


def test_the_way_to_the_exporter_is_short(run_zoo, monkeypatch, tmp_path) -> None:
    ways: list[list[str]] = []
    exporter = torch.onnx.export

    def counting(*arguments: Any, **more: Any) -> Any:
        frame: FrameType | None = inspect.currentframe()
        way: list[str] = []
        while frame is not None and "/commands/export.py" not in frame.f_code.co_filename:
            way.append(frame.f_code.co_name)
            frame = frame.f_back
        assert frame is not None and frame.f_code.co_name == "command"
        ways.append(way)
        return exporter(*arguments, **more)

    monkeypatch.setattr(torch.onnx, "export", counting)
    assert run_zoo("export", "lenet5.digits", "-f", "onnx", "-o", str(tmp_path / "out")).code == 0
    assert ways and all(len(way) <= 5 for way in ways), ways
