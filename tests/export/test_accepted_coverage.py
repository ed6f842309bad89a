"""An export whose check is inconclusive: refused with the tensors that are not covered, or accepted and marked so."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.contract.errors import DifferenceError, UsageError
from zoo.contract.evidence import AGREES, INCONCLUSIVE, Certificate, Coverage, UncoveredTensor
from zoo.contract.exporting.options import ExportOptions
from zoo.contract.reading import Malformed

SHAPE = (1, 8, 8)


class HalfUsed(nn.Module):
    """Ten tensors, of which the logits do not depend on three."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.layers = nn.ModuleList([nn.Linear(64, 64, bias=False) for _ in range(6)])
            self.head, self.one = nn.Linear(64, 4, bias=False), nn.Parameter(torch.ones(1))
        self.unused = nn.ParameterList([torch.ones(3, 2) for _ in range(2)])

    def forward(self, images: Tensor) -> Tensor:
        flat = images.flatten(1)
        for layer in self.layers:
            flat = flat + layer(flat) / 2
        logits: Tensor = self.head(flat)
        return logits + 0 * self.one


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> zoo.Export:
    folder = tmp_path_factory.mktemp("accepted") / "x"
    return zoo.export(HalfUsed().eval(), folder, formats=["onnx"], input_shape=SHAPE, name="half", accept_coverage=0.7)


def test_the_refusal_names_each_tensor_and_why(tmp_path: Path) -> None:
    with pytest.raises(DifferenceError) as raised:
        zoo.export(HalfUsed().eval(), tmp_path / "x", formats=["onnx"], input_shape=SHAPE)
    for text in ("70 %", "unused.0 [3, 2]", "unused.1", "one [1]"):
        assert text in raised.value.cause
    assert "--accept-coverage 0.7" in raised.value.next_step
    details = raised.value.details["coverage"]["details"]
    assert {name: each["reason"] for name, each in details.items()} == {
        "one": "no_effect",
        "unused.0": "unused",
        "unused.1": "unused",
    }
    assert not (tmp_path / "x").exists()


def test_less_than_what_is_accepted_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DifferenceError):
        zoo.export(HalfUsed().eval(), tmp_path / "x", formats=["onnx"], input_shape=SHAPE, accept_coverage=0.71)
    assert not (tmp_path / "x").exists()


def test_an_accepted_export_says_so_everywhere(accepted: zoo.Export) -> None:
    data = json.loads((accepted.path / "manifest.json").read_text(encoding="utf-8"))
    certificate = data["certificate"]
    assert data["verdict"] == certificate["verdict"] == certificate["artifacts"]["onnx"]["verdict"] == INCONCLUSIVE
    assert certificate["accepted_coverage"] == 0.7 and sorted(certificate["coverage"]["details"]) == [
        *("one", "unused.0", "unused.1")
    ]
    readme = (accepted.path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("> **INCONCLUSIVE.**") and "unused.1 [3, 2]" in readme
    assert not accepted.to_dict()["artifacts"]["onnx"]["passed"]


def test_verify_says_what_was_accepted(accepted: zoo.Export) -> None:
    messages: list[str] = []

    class Heard(zoo.Callback):
        def on_message(self, text: str, *, warning: bool = False) -> None:
            messages.append(text) if warning else None

    result = zoo.verify(accepted.path, callback=Heard())
    assert result.verdict == INCONCLUSIVE and not result.to_dict()["passed"]
    assert any("INCONCLUSIVE" in text and "unused.0" in text for text in messages)
    messages.clear()
    strict = zoo.verify(accepted.path, against=HalfUsed().eval(), input_shape=SHAPE, callback=Heard())
    assert strict.verdict == INCONCLUSIVE and strict.strict
    assert any("INCONCLUSIVE" in text for text in messages)


def test_a_single_file_is_accepted_by_its_manifest(accepted: zoo.Export, tmp_path: Path) -> None:
    result = zoo.verify(accepted.artifacts["onnx"], against=HalfUsed().eval(), input_shape=SHAPE)
    assert result.verdict == INCONCLUSIVE and any("INCONCLUSIVE" in text for text in result.warnings)
    alone = shutil.copy(accepted.artifacts["onnx"], tmp_path / "model.onnx")
    result = zoo.verify(alone, against=HalfUsed().eval(), input_shape=SHAPE)  # which no manifest speaks for
    assert result.verdict == AGREES and result.coverage is not None and result.coverage.fraction < 0.9
    for more in ({"strict": True}, {"min_coverage": 0.9}):
        with pytest.raises(DifferenceError, match=INCONCLUSIVE):
            zoo.verify(alone, against=HalfUsed().eval(), input_shape=SHAPE, **more)
    with pytest.raises(DifferenceError, match=INCONCLUSIVE):  # the manifest is not asked
        zoo.verify(accepted.artifacts["onnx"], against=HalfUsed().eval(), input_shape=SHAPE, min_coverage=0.9)


def test_the_runtime_says_it(accepted: zoo.Export) -> None:
    import zoo_runtime

    with pytest.warns(UserWarning, match="INCONCLUSIVE"):
        report = zoo_runtime.Model(accepted.path).verify()
    assert report.passed and report.summary.count(INCONCLUSIVE) == 1


def test_the_certificate_refuses_what_does_not_fit(accepted: zoo.Export) -> None:
    data = json.loads((accepted.path / "manifest.json").read_text(encoding="utf-8"))["certificate"]
    certificate = Certificate.from_dict(data)
    assert (certificate.accepted_coverage, certificate.coverage) == (0.7, accepted.certificate.coverage)
    for change in (
        *({"accepted_coverage": value} for value in (0, 1.5, 0.8, "0.7", None)),
        {"verdict": "pass"},
        {"coverage": {**data["coverage"], "details": {"other": data["coverage"]["details"]["unused.0"]}}},
    ):
        with pytest.raises(Malformed):
            Certificate.from_dict({**data, **change})
    del data["accepted_coverage"]
    with pytest.raises(Malformed):
        Certificate.from_dict(data)


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_what_is_no_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(UsageError, match=r"accept.coverage"):
        ExportOptions(accept_coverage=fraction)
    with pytest.raises(UsageError, match="verify"):
        ExportOptions(accept_coverage=0.5, verify=False)


def test_nothing_is_accepted_where_enough_is_covered(tmp_path: Path) -> None:
    """The option accepts less; it does not mark what needs no acceptance."""
    module = HalfUsed().eval()
    module.unused = nn.ParameterList()
    module.layers.append(nn.Linear(64, 64, bias=False))
    module.layers.append(nn.Linear(64, 64, bias=False))
    out = zoo.export(module.eval(), tmp_path / "x", formats=["onnx"], input_shape=SHAPE, accept_coverage=0.5)
    assert (out.verdict, out.certificate.accepted_coverage) == ("pass", None)
    assert "accepted_coverage" not in out.certificate.to_dict()


def test_reasons_are_read_back() -> None:
    details = {"a": UncoveredTensor((2, 3), "weak", 0.25), "b": UncoveredTensor((), "unused")}
    coverage = Coverage(10, ("a", "b"), details=details)
    assert Coverage.from_dict(coverage.to_dict()) == coverage
    assert "0.2" in coverage.describe("a") and "[2, 3]" in coverage.describe("a")
