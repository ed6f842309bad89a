"""What PyTorch's ONNX exporter refuses: translated here, or refused with the operator, the module and the line."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from zoo.contract.errors import ExportError
from zoo_export.capture import Capture, quiet
from zoo_export.formats.onnx.lowering import lower
from zoo_export.formats.onnx.translations import TABLE
from zoo_export.reasons import first_line

MASK = torch.ones(6, 6, dtype=torch.bool).tril()


VARIANTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "windows": ((4, 2, 6, 4), {}),
    "six": ((2, 2, 2, 6, 4), {}),
    "three": ((48, 4), {}),
    "bool mask": ((4, 2, 6, 4), {"attn_mask": MASK}),
    "a row that sees nothing": ((4, 2, 6, 4), {"attn_mask": MASK & ~torch.eye(6, dtype=torch.bool)}),
    "added mask": ((4, 2, 6, 4), {"attn_mask": torch.arange(72.0).reshape(2, 6, 6) / 50}),
    "causal": ((4, 2, 6, 4), {"is_causal": True}),
    "scale": ((4, 2, 6, 4), {"scale": 0.3}),
}


class Attention(nn.Module):
    """Attention over the pixels of images, `[N, 3, 8, 8]` to `[N, 4]`, once for each variant."""

    def __init__(self, *variants: tuple[tuple[int, ...], dict[str, Any]]) -> None:
        super().__init__()
        self.embed = nn.ModuleList(nn.Linear(4, 3 * 5) for _ in variants)
        self.head, self.variants = nn.Linear(5 * len(variants), 4), variants

    def forward(self, images: Tensor) -> Tensor:
        features = []
        for embed, (sizes, more) in zip(self.embed, self.variants, strict=True):
            query, key, value = embed(images.flatten(1).reshape(-1, *sizes)).chunk(3, dim=-1)
            features.append(scaled_dot_product_attention(query, key, value, **more).flatten(1, -2).amax(1))
        return self.head(torch.cat(features, 1))


def test_attention_of_any_rank_is_exported(make_model, try_export) -> None:
    torch.manual_seed(0)
    export = try_export(make_model(Attention(*VARIANTS.values())), "onnx")
    assert export.manifest.verdict == "pass"
    (workaround,) = export.certificate.artifacts["onnx"].workarounds
    assert (workaround.fault, workaround.places) == ("attention_rank", len(VARIANTS))


def test_four_dimensions_are_left_to_pytorch(make_model, try_export) -> None:
    torch.manual_seed(0)
    export = try_export(make_model(Attention(((4, 12, 4), {}))), "onnx")
    assert export.certificate.artifacts["onnx"].workarounds == ()


def test_upstream_refuses_attention_in_windows(make_model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails where PyTorch's exporter translates it: remove the translation then."""
    monkeypatch.setattr("zoo_export.formats.onnx.lowering.TABLE", {})
    model = make_model(Attention(VARIANTS["windows"]))
    with pytest.raises(ExportError) as caught:
        lower(Capture(model.name, model.module, model.card))
    assert "scaled_dot_product_attention" in caught.value.cause and "4D" in caught.value.cause


class LearntBias(nn.Module):
    """Attention with a learnt bias, whose result is reshaped as timm's relative positions do it."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Linear(12, 36), nn.Linear(12, 4)
        self.biases = nn.ParameterList([torch.randn(3, 16, 16) for _ in range(2)])

    def forward(self, images: Tensor) -> Tensor:
        plain, computed = self.biases
        return self.attention(images, plain[None]) + self.attention(images, computed[None] * 2)

    def attention(self, images: Tensor, bias: Tensor) -> Tensor:
        batch = images.shape[0]
        embedded = self.embed(images.reshape(batch, 16, 12)).reshape(batch, 16, 3, 3, 4)
        query, key, value = embedded.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=bias)
        return self.head(mixed.transpose(1, 2).reshape(batch, 16, 12)).amax(1)


def test_attention_with_a_learnt_bias_is_exported(make_model, try_export) -> None:
    torch.manual_seed(0)
    export = try_export(make_model(LearntBias()), "onnx")
    assert export.manifest.verdict == "pass"
    (workaround,) = export.certificate.artifacts["onnx"].workarounds
    assert (workaround.fault, workaround.places) == ("learnt_attention_bias", 2)


def test_upstream_refuses_attention_with_a_learnt_bias(make_model) -> None:
    """Fails where PyTorch's exporter takes it: remove `learnt_bias` then."""
    model = make_model(LearntBias())
    program = Capture(model.name, model.module, model.card).program
    with quiet(), torch.no_grad(), pytest.raises(torch.onnx.OnnxExporterError, match="Cannot view"):
        torch.onnx.export(program, dynamo=True, opset_version=18, optimize=False, verbose=False)


class Extrema(nn.Module):
    """A model that scales its features by the largest and the smallest value of a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.head = nn.Parameter(torch.randn(3, 1, 1)), nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        smallest, largest = self.weight.abs().aminmax()
        scale = self.weight.amax() - self.weight.amin() + largest / (smallest + 1)
        return self.head((images * self.weight / scale).amax((2, 3)))


def test_extrema_of_a_whole_tensor_are_exported(make_model, try_export) -> None:
    torch.manual_seed(0)
    export = try_export(make_model(Extrema()), "onnx")
    assert export.manifest.verdict == "pass"
    (workaround,) = export.certificate.artifacts["onnx"].workarounds
    assert (workaround.fault, workaround.places) == ("extremum_without_dim", 4)


def test_extrema_along_a_dimension_are_left_alone(make_model, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = make_model(Attention(((4, 12, 4), {})))
    ours = lower(Capture(model.name, model.module, model.card)).model_proto.SerializeToString()
    monkeypatch.setattr("zoo_export.formats.onnx.lowering.TABLE", {})
    assert lower(Capture(model.name, model.module, model.card)).model_proto.SerializeToString() == ours


@pytest.mark.parametrize("reduce", ["amax", "amin"])
def test_upstream_refuses_extrema_without_dim(reduce: str) -> None:
    """Fails where onnxscript translates them: remove `extremum` then."""

    class Reduce(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return getattr(values, reduce)()

    with quiet(), pytest.raises(torch.onnx.OnnxExporterError, match=reduce):
        torch.onnx.export(Reduce(), (torch.ones(2, 3),), dynamo=True, opset_version=18, verbose=False)


class Special(nn.Module):
    """A model with a block whose operator ONNX lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.head = Bessel(), nn.Linear(3, 4)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.block(images).mean((2, 3)))


class Bessel(nn.Module):
    """The modified Bessel function."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.special.modified_bessel_i0(images)


def test_a_refusal_names_operator_module_and_line(make_model) -> None:
    model = make_model(Special())
    with pytest.raises(ExportError) as caught:
        lower(Capture(model.name, model.module, model.card))
    line = Bessel.forward.__code__.co_firstlineno + 1
    for part in ("net.tiny", "special_modified_bessel_i0", " block ", f"test_lowering.py:{line}"):
        assert part in caught.value.cause
    assert caught.value.cause.isprintable() and "pt2" in caught.value.next_step


def test_a_reason_has_no_terminal_escapes() -> None:
    text = "\x1b[96mThis is \x1b]8;;file:///x\x07step\x1b[0m 3/3\x07\nmore"
    assert first_line(ValueError(text)) == "ValueError: This is step 3/3\\u0007"
    assert first_line(ValueError(" \n")) == "ValueError"


def test_every_translation_takes_what_the_operator_takes() -> None:
    for operator, translation in TABLE.items():
        names = [argument.name for argument in operator._schema.arguments]  # type: ignore[attr-defined]
        assert list(translation.__annotations__)[: len(names)] == names
