"""`zoo weights import`: checkpoints of other software become weights files; and metrics are recorded in their cards."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from zoo.files.card import read_card
from zoo.files.weights import load_weights
from zoo.models.importing.convert import UnconfirmedMapping

Run = Callable[..., Any]
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture
def state(trained: Path) -> dict[str, torch.Tensor]:
    return dict(zoo.load(trained).module.state_dict())  # in the order of the module


@pytest.fixture
def labels(here: Path) -> str:
    (here / "labels.txt").write_text("\n".join(DIGITS) + "\n")
    return "labels.txt"


def test_a_checkpoint_becomes_a_weights_file(run_zoo: Run, here: Path, state: Any, labels: str) -> None:
    torch.save({"epoch": 3, "state_dict": {f"module.{name}": value for name, value in state.items()}}, "a.pth.tar")
    options = ("--labels", labels, "--mean", "0.25", "--std", "0.5", "--licence", "MIT", "--tag", "own", "--json")
    ran = run_zoo("weights", "import", "a.pth.tar", "--architecture", "lenet5", *options)
    assert ran.code == 0, ran.err
    path = here / "weights" / "lenet5.own.safetensors"
    card, tensors = load_weights(path).card, load_weights(path).tensors
    assert all(torch.equal(tensors[name], value) for name, value in state.items()) and len(tensors) == len(state)
    assert (card.classes, card.licence, card.metrics, card.published) == (DIGITS, "MIT", (), ())
    assert (card.preprocess.mean, card.preprocess.std) == ((0.25,), (0.5,))
    sha256 = hashlib.sha256(Path("a.pth.tar").read_bytes()).hexdigest()
    assert (card.source, card.source_sha256) == ("a.pth.tar", sha256)
    assert json.loads(ran.out)["key"] == "state_dict" and not json.loads(ran.out)["mapping"][0]["by_order"]
    assert "state_dict" in ran.err and "module." in ran.err and "--record" in ran.err
    shown = run_zoo("weights", "show", "lenet5.own").out
    assert sha256 in shown and "unmeasured" in shown


def test_other_names_need_a_confirmed_order(run_zoo: Run, here: Path, state: Any, labels: str) -> None:
    torch.save({f"part{n}.{name.split('.')[-1]}": value for n, (name, value) in enumerate(state.items())}, "a.pth")
    arguments = ("weights", "import", "a.pth", "--architecture", "lenet5", "--labels", labels)
    ran = run_zoo(*arguments)
    assert ran.code == 1 and "--map order" in ran.err
    for number, name in enumerate(state):
        assert f"part{number}.{name.split('.')[-1]}\t{name}\t" in ran.out
    assert not (here / "weights").exists()
    ran = run_zoo(*arguments, "--map", "order")
    assert ran.code == 0 and "part0.weight\tfeatures.0.weight" in ran.out
    tensors = load_weights(here / "weights" / "lenet5.imported.safetensors").tensors
    assert all(torch.equal(tensors[name], value) for name, value in state.items())


def test_what_does_not_fit_leaves_nothing(run_zoo: Run, here: Path, state: Any, labels: str, explained: Any) -> None:
    torch.save({**state, "aux.weight": torch.ones(2)}, "more.pth")
    torch.save(state, "good.pth")
    Path("nine.txt").write_text("\n".join(DIGITS[:9]))
    torch.save({**state, "features.0.bias": torch.full((6,), torch.nan)}, "nan.pth")
    for words, code, parts in [
        (("more.pth",), 1, ("aux.weight", "--drop")),
        (("good.pth", "--labels", "nine.txt"), 1, ("9 classes", "of 10")),
        (("good.pth", "--labels", labels, "--num-classes", "9"), 2, ("--num-classes 9",)),
        (("good.pth", "--channels", "3"), 1, ("features.0.weight",)),
        (("good.pth", "--mean", "1,2"), 2, ("--mean",)),
        (("good.pth", "--tag", "a/b"), 2, ("'a/b'",)),
        (("good.pth", "--key", "ema"), 1, ("'ema'",)),
        (("nan.pth",), 1, ("features.0.bias",)),
        (("none.pth",), 1, ("none.pth",)),
    ]:
        text = explained(run_zoo("weights", "import", *words, "--architecture", "lenet5"), code)
        assert all(part in text for part in parts), text
        assert not (here / "weights").exists()


def test_a_full_disk_and_a_half_file_leave_nothing(
    run_zoo: Run, here: Path, state: Any, explained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    torch.save(state, "good.pth")
    Path("half.pth").write_bytes(Path("good.pth").read_bytes()[: Path("good.pth").stat().st_size // 2])
    arguments = ("weights", "import", "--architecture", "lenet5")
    assert "half.pth" in explained(run_zoo(*arguments, "half.pth"), 1)
    monkeypatch.setattr("zoo.files.atomic.os.fsync", full)
    assert "No space left" in explained(run_zoo(*arguments, "good.pth"), 1)
    assert sorted(path.name for path in here.rglob("*")) == ["good.pth", "half.pth"]


def test_an_existing_file_needs_force(run_zoo: Run, here: Path, state: Any) -> None:
    torch.save(state, "a.pth")
    arguments = ("weights", "import", "a.pth", "--architecture", "lenet5")
    assert run_zoo(*arguments).code == 0
    before = (here / "weights" / "lenet5.imported.safetensors").read_bytes()
    assert run_zoo(*arguments).code == 1
    assert run_zoo(*arguments, "--force").code == 0
    assert (here / "weights" / "lenet5.imported.safetensors").read_bytes() == before


def test_python_imports_too(here: Path, state: Any) -> None:
    torch.save({"net": state}, "a.pt")
    done = zoo.import_weights("a.pt", "lenet5", labels=DIGITS, output=here / "w", tag="x")
    assert done.name == "lenet5.x" and done.key == "net" and done.card.classes == DIGITS
    assert zoo.load(done.path).labels == DIGITS
    torch.save({f"a{name}": value for name, value in state.items()}, "b.pt")
    with pytest.raises(UnconfirmedMapping) as raised:
        zoo.import_weights("b.pt", "lenet5")
    assert [pair.target for pair in raised.value.match.pairs] == list(state)
    with pytest.raises(zoo.UsageError, match="map"):
        zoo.import_weights("b.pt", "lenet5", map="shape")  # type: ignore[arg-type]


def test_metrics_are_recorded(run_zoo: Run, here: Path, trained: Path) -> None:
    (here / "weights").mkdir()
    path = here / "weights" / "lenet5.copy.safetensors"
    path.write_bytes(trained.read_bytes())
    before = read_card(path)[0]
    assert run_zoo("evaluate", str(path), "--device", "cpu", "--split", "train", "--record").code == 0
    after = load_weights(path).card
    own = [metric for metric in after.metrics if metric.split == "train"]
    assert {metric.name for metric in own} == {"top1", "top5", "loss"} and own[0].n > 1000
    assert [metric for metric in after.metrics if metric.split == "test"] == list(before.metrics)
    assert after.digest == before.digest and after.card_digest != before.card_digest
    assert run_zoo("evaluate", str(path), "--device", "cpu", "--split", "train", "--record").code == 0
    assert load_weights(path).card == after
    assert run_zoo("weights", "verify", str(path), "--expect-digest", after.card_digest).code == 0


def test_only_what_was_measured_is_recorded(here: Path, trained: Path, exported: Path) -> None:
    from zoo.api.weights.recording import recordable

    with pytest.raises(zoo.UsageError, match="export"):
        recordable(str(exported))
    path = here / "lenet5.copy.safetensors"
    path.write_bytes(trained.read_bytes())
    model = recordable(str(path))
    measured = zoo.evaluate(model, device="cpu")
    zoo.record_metrics(model, zoo.evaluate(model, device="cpu", split="train"))
    with pytest.raises(zoo.WeightsError, match="changed"):
        zoo.record_metrics(model, measured)
