"""Tensors of a file and those of a module: which state dict is taken, which prefixes go, and which names are pairs."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from zoo.contract.errors import UsageError, WeightsError
from zoo.contract.preprocess import Preprocess
from zoo.models.importing.convert import UnconfirmedMapping, convert
from zoo.models.importing.names import match, without_prefixes
from zoo.models.importing.source import SourceFile
from zoo.models.importing.state_dicts import choose_state_dict, find_state_dicts
from zoo.models.importing.stated import PreprocessOverrides, read_labels


def net() -> dict[str, Tensor]:
    return dict(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 10)).state_dict())


def source(tensors: dict[str, Tensor], ordered: bool = True) -> SourceFile:
    return SourceFile(Path("x.pth"), "0" * 64, tensors, ordered=ordered)


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"w": torch.ones(1)}, "."),
        ({"epoch": 1, "state_dict": {"w": torch.ones(1)}}, "state_dict"),
        ({"model": {"w": torch.ones(1)}, "model_ema": {"w": torch.ones(1)}}, "model_ema"),
        ({"ema": {"module": {"w": torch.ones(1)}}, "net": {"w": torch.ones(1)}}, "ema.module"),
        ({"state_dict": {"w": torch.ones(1)}, "optimizer": {"state": {0: {"exp_avg": torch.ones(1)}}}}, "state_dict"),
        ({"loss": torch.ones(()), "model": {"w": torch.ones(1)}}, "model"),
        ({"generator": {"w": torch.ones(1)}}, "generator"),
    ],
)
def test_the_state_dict_is_found(content: Any, key: str) -> None:
    assert choose_state_dict(find_state_dicts(content), "") == key


def test_which_of_several_has_to_be_named() -> None:
    found = find_state_dicts({"a": {"w": torch.ones(1)}, "b": {"w": torch.ones(1), "v": torch.ones(1)}})
    with pytest.raises(WeightsError) as raised:
        choose_state_dict(found, "")
    assert "--key a (1 tensors)" in raised.value.next_step and "--key b (2" in raised.value.next_step
    assert choose_state_dict(found, "b") == "b"
    with pytest.raises(WeightsError, match="'c'"):
        choose_state_dict(found, "c")
    with pytest.raises(WeightsError):
        choose_state_dict(find_state_dicts([torch.ones(1)]), "")


@pytest.mark.parametrize(
    ("prefix", "removed"),
    [
        ("module.", ("module.",)),
        ("_orig_mod.", ("_orig_mod.",)),
        ("module.model.", ("module.", "model.")),
        ("_orig_mod.module.backbone.", ("_orig_mod.", "module.", "backbone.")),
    ],
)
def test_prefixes_come_off(prefix: str, removed: tuple[str, ...]) -> None:
    renamed, taken = without_prefixes([f"{prefix}{name}" for name in net()], net())
    assert list(renamed) == list(net()) and taken == removed
    assert renamed["0.weight"] == f"{prefix}0.weight"


def test_a_prefix_of_the_model_itself_stays() -> None:
    expected = {f"model.{name}": value for name, value in net().items()}
    assert without_prefixes(list(expected), expected)[1] == ()
    assert without_prefixes([f"module.{name}" for name in expected], expected)[1] == ("module.",)


def test_a_prefix_that_some_names_have_comes_off() -> None:
    names = ["backbone.0.weight", "backbone.0.bias", "3.weight"]
    assert list(without_prefixes(names, net())[0]) == ["0.weight", "0.bias", "3.weight"]


def test_names_decide_before_the_order() -> None:
    theirs = OrderedDict(reversed(net().items()))
    found = match(theirs, net())
    assert not found.by_order and not found.problems
    assert all(pair.source == pair.target for pair in found.pairs)


def test_an_order_has_to_be_confirmed() -> None:
    theirs = {f"layer{number}.{name.split('.')[1]}": value for number, (name, value) in enumerate(net().items())}
    with pytest.raises(UnconfirmedMapping) as raised:
        convert(source(theirs), net(), 10, by_order=False)
    assert [pair.target for pair in raised.value.match.pairs] == list(net())
    assert "--map order" in raised.value.next_step
    done = convert(source(theirs), net(), 10, by_order=True)
    assert list(done.tensors) == list(net())
    assert all(torch.equal(a, b) for a, b in zip(done.tensors.values(), theirs.values(), strict=True))


def test_safetensors_have_no_order() -> None:
    theirs = {f"a.{name}": value for name, value in net().items()}
    with pytest.raises(WeightsError, match="order"):
        convert(source(theirs, ordered=False), net(), 10, by_order=True)


def test_roles_are_not_mixed_up() -> None:
    """A running mean has the shape of a running variance."""
    theirs = {f"a.{name}": value for name, value in net().items()}
    order = list(theirs)
    mean, variance = order.index("a.1.running_mean"), order.index("a.1.running_var")
    order[mean], order[variance] = order[variance], order[mean]
    with pytest.raises(WeightsError, match=r"a\.1\.running_var.* would become 1\.running_mean"):
        convert(source({name: theirs[name] for name in order}), net(), 10, by_order=True)


@pytest.mark.parametrize("by_order", [False, True])
def test_what_is_left_over_is_named(by_order: bool) -> None:
    with pytest.raises(WeightsError, match=r"aux\.weight is in the file alone"):
        convert(source({**net(), "aux.weight": torch.ones(2)}), net(), 10, by_order=by_order)
    less = {name: value for name, value in net().items() if name != "3.bias"}
    with pytest.raises(WeightsError, match=r"3\.bias is missing"):
        convert(source(less), net(), 10, by_order=by_order)


def test_a_tensor_can_be_dropped() -> None:
    more = {**net(), "aux.weight": torch.ones(2), "aux.bias": torch.ones(2)}
    done = convert(source(more), net(), 10, by_order=False, drop=["aux.*"])
    assert done.dropped == ("aux.weight", "aux.bias") and list(done.tensors) == list(net())


def test_another_number_of_classes_is_an_error() -> None:
    theirs = {**net(), "3.weight": torch.ones(7, 4), "3.bias": torch.ones(7)}
    with pytest.raises(WeightsError, match=r"10 classes.*3\.weight.*7") as raised:
        convert(source(theirs), net(), 10, by_order=False)
    assert "--num-classes 7" in raised.value.next_step


def test_another_shape_is_an_error() -> None:
    with pytest.raises(WeightsError, match=r"0\.weight is 4×3×5×5 .* 4×3×3×3"):
        convert(source({**net(), "0.weight": torch.ones(4, 3, 5, 5)}), net(), 10, by_order=True)


def test_counters_of_batchnorm_may_be_missing() -> None:
    less = {name: value for name, value in net().items() if "num_batches" not in name}
    done = convert(source(less), net(), 10, by_order=False)
    assert done.match.counters == ("1.num_batches_tracked",) and done.tensors["1.num_batches_tracked"] == 0
    renamed = {f"a.{name}": value for name, value in less.items()}
    assert convert(source(renamed), net(), 10, by_order=True).match.by_order


def test_dtypes_are_converted_within_their_kind() -> None:
    half = {name: value.half() if value.is_floating_point() else value.int() for name, value in net().items()}
    done = convert(source(half), net(), 10, by_order=False)
    assert done.dtypes == {"float16 to float32": 8, "int32 to int64": 1}
    with pytest.raises(WeightsError, match=r"3\.bias is int64"):
        convert(source({**net(), "3.bias": torch.ones(10, dtype=torch.int64)}), net(), 10, by_order=False)


def test_labels_are_lines_or_a_json_list(tmp_path: Path) -> None:
    for content in ("cat\ndog\n", '["cat", "dog"]'):
        (tmp_path / "labels.txt").write_text(content)
        assert read_labels(tmp_path / "labels.txt") == ("cat", "dog")
    for wrong in ("", "cat\n\ndog", "[1, 2]", "a\0"):
        (tmp_path / "labels.txt").write_text(wrong)
        with pytest.raises(UsageError):
            read_labels(tmp_path / "labels.txt")
    with pytest.raises(UsageError):
        read_labels(tmp_path)


def test_fields_of_a_preprocessing_can_be_chosen() -> None:
    own = Preprocess(size=(8, 8), mean=(0.1, 0.2, 0.3), std=(1, 1, 1), shorter_side=9)
    new = PreprocessOverrides(mean=(0.5,), std=(0.1, 0.2, 0.3), shorter_side=0, interpolation="bicubic").applied(own)
    assert (new.mean, new.std, new.shorter_side, new.interpolation) == ((0.5,) * 3, (0.1, 0.2, 0.3), None, "bicubic")
    assert PreprocessOverrides().applied(own) == own
    for wrong in (
        PreprocessOverrides(mean=(1, 2)),
        PreprocessOverrides(std=(0.0,)),
        PreprocessOverrides(shorter_side=3),
    ):
        with pytest.raises(UsageError):
            wrong.applied(own)
