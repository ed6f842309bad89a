"""Cards that were changed or are malformed, and digests that the user expects: what is not that file is refused."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from PIL import Image
from referencing import Registry, Resource

import zoo
import zoo.contract.evidence
from zoo.contract.errors import DifferenceError, UsageError, WeightsError
from zoo.files.card import KEY, read_card
from zoo.files.expected_digest import digest_of, parse_digest
from zoo.files.header import MAX_HEADER, read_header
from zoo.files.metadata import canonical_digest, to_metadata
from zoo.files.weights import load_weights
from zoo_export.bundle.folder import read_folder

Run = Callable[..., Any]
Refused = Callable[..., str]
pytestmark = pytest.mark.usefixtures("in_time")
WEIGHTS = Path(__file__).parents[2] / "weights" / "lenet5.digits.safetensors"
OLD = Path(__file__).parents[1] / "fixtures" / "release_0_1_0"
SCHEMAS = Path(zoo.contract.evidence.__file__).parent / "schemas"
DIGEST = digest_of(read_card(WEIGHTS)[0])
OTHER = f"sha256:{'0' * 64}"


def forge(path: Path, edit: Callable[[dict[str, Any]], object], *, digest: bool = True) -> Path:
    """Weights with the same tensors and another card, whose checksum and, if `digest`, own digest are right."""
    content = WEIGHTS.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    card = json.loads(header["__metadata__"][KEY])
    edit(card)
    if digest:
        card["card_digest"] = canonical_digest({key: value for key, value in card.items() if key != "card_digest"})
    header["__metadata__"] = to_metadata(KEY, card)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return path


EDITS: dict[str, Callable[[dict[str, Any]], object]] = {
    "classes": lambda card: card["classes"].reverse(),
    "preprocess": lambda card: card["preprocess"].update(mean=[0.9]),
    "metrics": lambda card: card["metrics"][0].update(value=1.0),
    "licence": lambda card: card.update(licence="MIT"),
    "plugin": lambda card: card.update(plugin_version="9"),
    "recipe": lambda card: card["recipe"].update(epochs=1),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_changed_card_has_another_digest(run_zoo: Run, refused: Refused, here: Path, edit: str) -> None:
    path = str(forge(here / "lenet5.a.safetensors", EDITS[edit], digest=False))
    ran = run_zoo("weights", "verify", path)
    assert refused(ran, 3) and "digest" in ran.out
    forge(Path(path), EDITS[edit])
    assert run_zoo("weights", "verify", path).code == 0
    Image.new("L", (8, 8)).save("image.png")
    for arguments in (
        ("weights", "verify", path),
        ("predict", path, "image.png"),
        ("evaluate", path),
        ("export", path, "-f", "onnx"),
    ):
        message = refused(run_zoo(*arguments, "--expect-digest", DIGEST), 3)
        assert DIGEST in message and digest_of(read_card(Path(path))[0]) in message
    with pytest.raises(DifferenceError):
        zoo.load(path, expect_digest=DIGEST)
    with pytest.raises(DifferenceError):
        zoo.export(path, expect_digest=DIGEST)
    with pytest.raises(DifferenceError):
        zoo.export(zoo.load(path), expect_digest=DIGEST)
    assert sorted(entry.name for entry in here.iterdir()) == ["image.png", "lenet5.a.safetensors"]


@pytest.mark.parametrize("written", [DIGEST, DIGEST.removeprefix("sha256:"), DIGEST.upper().replace("SHA", "sha")])
def test_the_expected_digest_is_accepted(run_zoo: Run, here: Path, written: str) -> None:
    Image.new("L", (8, 8)).save("image.png")
    assert run_zoo("weights", "verify", str(WEIGHTS), "--expect-digest", written).code == 0
    assert run_zoo("predict", str(WEIGHTS), "image.png", "--expect-digest", written).code == 0
    assert zoo.load(WEIGHTS, expect_digest=written).labels


@pytest.mark.parametrize("written", ["", "x", "sha256:", "0" * 63, "md5:" + "0" * 64, "g" * 64, "\x1b[2J"])
def test_what_is_no_digest_is_a_usage_error(run_zoo: Run, refused: Refused, here: Path, written: str) -> None:
    with pytest.raises(UsageError):
        parse_digest(written)
    refused(run_zoo("weights", "verify", str(WEIGHTS), "--expect-digest", written), 2)
    refused(run_zoo("predict", str(WEIGHTS), "image.png", "--expect-digest", written), 2)


def test_a_digest_is_expected_of_one_file_with_weights(run_zoo: Run, refused: Refused, here: Path) -> None:
    refused(run_zoo("weights", "verify", str(WEIGHTS), str(WEIGHTS), "--expect-digest", DIGEST), 2)
    refused(run_zoo("weights", "verify", "--expect-digest", DIGEST), 2)
    refused(run_zoo("export", "lenet5", "--expect-digest", DIGEST), 2)
    refused(run_zoo("predict", "lenet5", "image.png", "--expect-digest", DIGEST), 2)


def test_the_expected_digest_of_an_export(run_zoo: Run, refused: Refused, here: Path, sound_export: Path) -> None:
    Image.new("L", (8, 8)).save("image.png")
    folder, digest = str(sound_export), read_folder(sound_export).digest
    assert digest in run_zoo("verify", folder).out
    assert json.loads(run_zoo("verify", folder, "--json").out)["digest"] == digest
    for arguments in (("verify", folder), ("predict", folder, "image.png"), ("evaluate", folder)):
        assert run_zoo(*arguments, "--expect-digest", digest).code == 0
        assert digest in refused(run_zoo(*arguments, "--expect-digest", OTHER), 3)
    for call in (zoo.verify, zoo.load):
        with pytest.raises(DifferenceError):
            call(sound_export, expect_digest=OTHER)
    assert zoo.verify(sound_export, expect_digest=digest).verdict == "pass"
    assert read_folder(sound_export).card["card_digest"] == DIGEST


def test_the_expected_digest_of_a_file(run_zoo: Run, refused: Refused, here: Path, sound_export: Path) -> None:
    import hashlib

    path = sound_export / "model.onnx"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert run_zoo("verify", str(path), "--against", str(WEIGHTS), "--expect-digest", digest).code == 0
    assert digest in refused(run_zoo("verify", str(path), "--against", str(WEIGHTS), "--expect-digest", OTHER), 3)


def test_a_card_of_release_0_1_0_is_said_to_be_uncovered(run_zoo: Run, refused: Refused, here: Path) -> None:
    old = OLD / "lenet5.old.safetensors"
    card, _ = read_card(old)
    ran = run_zoo("weights", "verify", str(old))
    assert ran.code == 0 and card.digest in ran.out and "0.1.0" in ran.out
    (row,) = json.loads(run_zoo("weights", "verify", str(old), "--json").out)
    assert row["card_covered"] is False and row["digest"] == card.digest
    assert run_zoo("weights", "verify", str(old), "--expect-digest", card.digest).code == 0
    (here / "weights").mkdir()
    new = here / "weights" / old.name
    new.write_bytes(old.read_bytes())
    assert run_zoo("weights", "upgrade", "lenet5.old").code == 0
    upgraded = load_weights(new)
    assert upgraded.card.digest == card.digest and upgraded.card.card_digest
    assert upgraded.card.metrics == card.metrics and upgraded.card.classes == card.classes
    before = new.read_bytes()
    assert run_zoo("weights", "upgrade", "lenet5.old").code == 0
    assert new.read_bytes() == before
    refused(run_zoo("weights", "verify", str(new), "--expect-digest", card.digest), 3)


def test_strict_says_that_an_old_card_is_uncovered(run_zoo: Run, here: Path) -> None:
    folder = str(OLD / "exports" / "lenet5.old")
    against = ("--against", str(OLD / "lenet5.old.safetensors"))
    ran = run_zoo("verify", folder, "--strict", *against, "-f", "onnx")
    assert ran.code == 0 and "0.1.0" in ran.err
    assert "digest" not in run_zoo("verify", folder, "-f", "onnx").err


def test_a_downgraded_card_does_not_have_the_expected_digest(run_zoo: Run, refused: Refused, here: Path) -> None:
    """A forger may leave the digest of the card out, as 0.1.0 did: then the file has another digest."""
    path = here / "lenet5.a.safetensors"
    forge(path, lambda card: (card.update(format=1, licence="MIT"), card.pop("card_digest")), digest=False)
    assert read_card(path)[0].card_digest == ""
    refused(run_zoo("weights", "verify", str(path), "--expect-digest", DIGEST), 3)


@pytest.mark.parametrize("name", ["lenet5.digits", "lenet5.fashion_mnist", "resnet20.cifar10_jpeg"])
def test_shipped_cards_fit_the_schema(name: str) -> None:
    schemas = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")}
    registry = Registry().with_resources((file, Resource.from_contents(schema)) for file, schema in schemas.items())
    validator = Draft202012Validator(schemas["card-2.json"], registry=registry)
    for path in (WEIGHTS.with_name(f"{name}.safetensors"), OLD / "lenet5.old.safetensors"):
        card, header = read_card(path)
        assert card.card_digest or card.format == 1
        assert [error.message for error in validator.iter_errors(json.loads(header.metadata[KEY]))] == []


# What would allocate


def test_a_header_beyond_the_limit_is_not_read(here: Path) -> None:
    path = here / "lenet5.a.safetensors"
    text = b'{"__metadata__":{"a":"' + b"x" * MAX_HEADER + b'"}}'
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    with pytest.raises(WeightsError):
        read_header(path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda card: card.update(classes=[str(number) for number in range(200_000)]),
        lambda card: card.update(classes=["x" * 10**6]),
        lambda card: card["preprocess"].update(size=[65536, 65536]),
        lambda card: card["preprocess"].update(size=[2**40, 1]),
        lambda card: card["preprocess"].update(shorter_side=65536),
        lambda card: card.update(recipe={str(number): 1 for number in range(20_000)}),
        lambda card: card.update(params={"a": [[[[]]]] * 2**21}),
    ],
    ids=range(7),
)
def test_cards_that_describe_too_much(run_zoo: Run, refused: Refused, here: Path, edit: Any) -> None:
    path = str(forge(here / "lenet5.a.safetensors", edit))
    for arguments in (("weights", "show", path), ("predict", path, "image.png"), ("export", path), ("summary", path)):
        assert len(refused(run_zoo(*arguments), 1)) < 2000
    assert [entry.name for entry in here.iterdir()] == ["lenet5.a.safetensors"]


def test_a_tensor_twice_is_refused(here: Path) -> None:
    path = here / "lenet5.a.safetensors"
    one = b'"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
    text = b"{" + one + b"," + one + b"}"
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"x")
    with pytest.raises(WeightsError, match="'w' twice"):
        read_header(path)


def test_more_classes_than_a_card_holds(run_zoo: Run, refused: Refused, here: Path) -> None:
    for command in ("export", "summary"):
        assert "10000000" in refused(run_zoo(command, "lenet5", "--num-classes", "10000000"), 2)
    assert not list(here.iterdir())
