"""The kinds of files that zoo reads: what is damaged, how, and which commands read it."""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from fuzzing.case import KINDS_OF_FILE, Case, Content, Special
from fuzzing.mutators import fields, graphs, pictures, raw, tensors, toml
from fuzzing.mutators.values import MARKS, TEXTS
from fuzzing.sandbox import Seeds
from fuzzing.sealed import CARD, CHECKPOINT, DECODED, archive, seal, sealed_manifest
from fuzzing.seeds import MODEL

Changed = tuple[bytes, list[str]]
ODD_FILE = 0.012  # of the inputs are something else than a regular file
OWN_PROCESS = 0.0015  # of the commands run in a process of their own, as a person starts them
VALID_ARTIFACT = ("manifest", "golden", "signature", "image")  # a process for it would take most of the time
SEED = ("--seed", "0")  # of the images that `zoo verify` draws
FORMATS = ("onnx", "torchscript", "pt2", "zoo-kit:onnx", "zoo-kit/export:pt2", "nothing:onnx")
CARD_VALUES = (
    *("lenet5", "resnet20", "vit_b_32", "zoo-kit", "classic", "torchvision", "digits", "mnist", "folder", "nearest"),
    *("bicubic", [1, 1], [65536, 65536], [2000, 2000], [28, 28, 28], ["a"], ["a"] * 10, ["a"] * 100_000, 65536),
    *({"num_classes": 10**9}, {"x": 1}, "bfloat16", [0.1, 0.2, 0.3], [1e-300], [[0.1]], [1e5]),
)
RECIPE_VALUES = (
    *("lenet5", "resnet20", "digits", "folder", "mnist", "sgd", "adamw", "muon", "lamb", "cosine", "one_cycle", "step"),
    *(
        "cross_entropy",
        "focal",
        "bce",
        "trivial",
        "sqrt",
        "inverse",
        28,
        1,
        3,
        [0.9, 0.1],
        [0.5],
        {"gamma": "x"},
        MODEL,
    ),
    *({"label_smoothing": 2}, {"x": 1}, "weights/none.safetensors", "lenet5.digits@abc", 1e-3, 0.999999, 2**31 - 1),
)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        share: how many inputs of a thousand are of this kind.
        folders: the seed folders that `make` needs.
        make: an input, from the valid files, random numbers and the path of a file that must not be touched.
    """

    name: str
    share: int
    folders: tuple[str, ...]
    make: Callable[[Seeds, random.Random, str], Case]


def make_case(kind: Kind, index: int, seed: int, seeds: Seeds, outside: str) -> Case:
    """The input of this number: the same for the same seed, valid files and code."""
    draw = random.Random(f"{seed}/{kind.name}/{index}")
    case = _made(kind, seeds, draw, outside)
    main = next(iter(case.files))
    if kind.name in VALID_ARTIFACT and case.arguments[0] in ("verify", "predict") and draw.random() < 0.8:
        case.arguments.append("--trust")
    case.steps = 3 if draw.random() < 0.1 else 1  # three are enough to finish a run that is resumed
    if draw.random() < ODD_FILE:
        case.files[main] = Special(draw.choice(KINDS_OF_FILE))
        case.notes = [f"a {case.files[main].what}"]  # type: ignore[union-attr]
        if case.files[main] == Special("missing") and main not in seeds[case.folder]:
            case.files[main] = Special("fifo")
    elif draw.random() < OWN_PROCESS and case.arguments[0] not in ("train", "zoo_runtime", "preferences"):
        case.arguments.insert(0, "process")
    return case


def _made(kind: Kind, seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """An input; another one where a change cannot be written down, such as a graph that is nested too deeply."""
    for _ in range(20):
        try:
            return kind.make(seeds, draw, outside)
        except Exception as error:
            failure = error
    raise failure


def manifest(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """`manifest.json`, sealed again."""
    folder = draw.choice(("onnx", "onnx", "onnx", "torchscript", "old"))
    content = seeds[folder]["out/manifest.json"]
    if draw.random() < 0.1:
        changed, note = raw.damage(content, draw)
        return Case("manifest", folder, {"out/manifest.json": changed}, _export_command(draw), [note])
    data = json.loads(content)
    start = data
    if draw.random() < 0.6:  # as much of the certificate as of the rest
        start = draw.choice([value for value in data.values() if isinstance(value, dict)])
    notes = fields.mutate(start, draw, outside, (*FORMATS, *CARD_VALUES, "pass", "overridden", "unverified", "fp16"))
    text = sealed_manifest(data, draw) if draw.random() < 0.95 else fields.dump(data, draw)
    return Case(
        "manifest", folder, {"out/manifest.json": text.encode("utf-8", "surrogatepass")}, _export_command(draw), notes
    )


def weights(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """Weights files: the card and the tensors."""
    name = "weights/lenet5.made.safetensors"
    changed, notes = tensors.mutate(seeds["weights"][name], CARD, draw, outside, CARD_VALUES)
    commands = (
        *(["weights", "show", name], ["weights", "show", name, "--json"], ["weights", "verify", name]),
        *(["weights", "verify"], ["weights", "verify", "--json"], ["weights", "list"], ["weights", "list", "--json"]),
        *(["weights", "page"], ["predict", name, "x.png"], ["predict", "lenet5.made", "x.png", "--json"]),
        *(["evaluate", name], ["summary", name], ["train", "--like", name, "--device", "cpu"]),
        ["train", "lenet5", "--data", "digits", "--initial-checkpoint", name, "--device", "cpu"],
    )
    quick = draw.random() < 0.8  # training takes the time of many other commands
    return Case("weights", "weights", {name: changed}, list(draw.choice(commands[:-3] if quick else commands)), notes)


def checkpoint(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """Checkpoints of a run that is resumed."""
    name = "runs/r/checkpoint.safetensors"
    more = (
        0,
        1,
        2,
        3,
        10**6,
        {"epoch": 1, "top1": 0.5, "loss": 1.0},
        [{}],
        [{"epoch": 1}],
        {"optimizer.0.0.step": "x"},
    )
    changed, notes = tensors.mutate(seeds["run"][name], CHECKPOINT, draw, outside, more)
    return Case("checkpoint", "run", {name: changed}, ["train", "--resume", "runs/r"], notes)


def run(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """The record of a run that is resumed."""
    name = "runs/r/run.json"
    if draw.random() < 0.1:
        changed, note = raw.damage(seeds["run"][name], draw)
        notes = [note]
    else:
        data = json.loads(seeds["run"][name])
        start = data if draw.random() < 0.6 else draw.choice([each for each in data.values() if isinstance(each, dict)])
        notes = fields.mutate(start, draw, outside, (*RECIPE_VALUES, "cuda", "mps", "cpu", "../x", outside))
        changed = fields.dump(data, draw).encode("utf-8", "surrogatepass")
    files: dict[str, Content] = {name: changed}
    if draw.random() < 0.03:
        files["runs/r/result.json"] = draw.choice(
            (b"", b"[]", b'{"weights": "\\u001b[31m"}', b"[" * 99_999, b'{"weights": {}}')
        )
    return Case("run", "run", files, ["train", "--resume", draw.choice(("r", "runs/r"))], notes)


def recipe(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """Recipes as TOML files."""
    changed, notes = toml.mutate(seeds["recipe"]["recipe.toml"], draw, outside, RECIPE_VALUES)
    return Case(
        "recipe", "recipe", {"recipe.toml": changed}, ["train", "--recipe", "recipe.toml", "--device", "cpu"], notes
    )


def config(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """The user's configuration file."""
    name = "config/zoo/config.toml"
    changed, notes = toml.mutate(
        seeds["config"][name], draw, outside, ("zoo-kit:resnet18", "zoo-losses:focal", "allow")
    )
    if draw.random() < 0.5:
        return Case("config", "config", {name: changed}, ["preferences"], notes)
    commands = (
        ["list"],
        ["list", "losses", "--json"],
        ["plugins"],
        ["plugins", "--json"],
        ["show", "resnet18"],
        ["doctor"],
    )
    return Case("config", "config", {name: changed}, list(draw.choice(commands)), notes)


def golden(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """The golden images and logits of an export."""
    changed, notes = archive("golden", seeds["onnx"]["out/golden.npz"], draw, outside)
    files = seal(seeds["onnx"], {"out/golden.npz": changed})
    commands = (
        ["verify", "out", *SEED],
        ["verify", "out", *SEED, "--json"],
        ["zoo_runtime", "--verify", "--folder", "out"],
    )
    return Case("golden", "onnx", files, list(draw.choice(commands)), notes)


def artifact(name: str) -> Callable[[Seeds, random.Random, str], Case]:
    """An exported model in one format.

    zoo runs it in a process of its own with limits. The runtime in an export folder does not: who runs that runs what
    came with the folder.
    """

    def make(seeds: Seeds, draw: random.Random, outside: str) -> Case:
        path = f"out/model.{name}"
        content = seeds[name][path]
        changed, notes = (
            graphs.mutate(content, draw, outside) if name == "onnx" else archive(name, content, draw, outside)
        )
        commands = [
            ["verify", "out", *SEED],
            ["verify", "out", *SEED],
            ["predict", "out", "x.png"],
            ["verify", path, *SEED, "--against", MODEL],
        ]
        return Case(name, name, seal(seeds[name], {path: changed}), list(draw.choice(commands)), notes)

    return make


def signature(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """The signature of an export, and the keys."""
    name = draw.choice(("out/signature.sig",) * 4 + ("public.pem", "private.pem"))
    content = seeds["signed"][name]
    if name.endswith(".pem") or draw.random() < 0.2:
        changed, note = raw.damage(content, draw)
        notes = [note]
    else:
        data = json.loads(content)
        if draw.random() < 0.5:
            payload = json.loads(base64.b64decode(data["dsseEnvelope"]["payload"]))
            notes = fields.mutate(payload, draw, outside)
            text = fields.dump(payload, draw).encode("utf-8", "surrogatepass")
            data["dsseEnvelope"]["payload"] = base64.b64encode(text).decode()
        else:
            notes = fields.mutate(data, draw, outside)
        changed = fields.dump(data, draw).encode("utf-8", "surrogatepass")
    command = ["verify", "out", *SEED, "--key", "public.pem"]
    if name == "private.pem":
        command = ["sign", "out", "--key", name, "--force"]
    return Case("signature", "signed", {name: changed}, command, notes)


def cache(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """The cache of decoded images."""
    name = draw.choice(sorted(name for name in seeds["cache"] if name.startswith("cache/decoded")))
    changed, notes = tensors.mutate(
        seeds["cache"][name], DECODED, draw, outside, (0, 1, [[0, "x"]], [[0, 1, 2]], [[99, "x"]])
    )
    command = ["evaluate", "weights/lenet5.small.safetensors", "--data-root", "data", "-j", "0"]
    return Case("cache", "cache", {name: changed}, command, notes)


def image(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """Images: to predict, and in folders of classes, where names may be anything too."""
    source = draw.choice(sorted(seeds["pictures"]))
    changed, notes = pictures.mutate(seeds["pictures"][source], draw)
    way = draw.random()
    if way < 0.4:
        return Case("image", "images", {"x.png": changed}, ["predict", MODEL, "x.png"], notes)
    if way < 0.7:
        command = draw.choice((["predict", "out", "x.png"], ["zoo_runtime", "--folder", "out", "x.png"]))
        return Case("image", "onnx", {"x.png": changed}, list(command), notes)
    files: dict[str, Content] = {"data/test/a/0.png": changed}
    if way > 0.88:
        mark = draw.choice((*MARKS, *TEXTS)).replace("/", "").replace("\x00", "")[:60]
        odd = draw.choice(
            (f"data/test/a/{mark}.png", f"data/train/{mark or 'x'}/0.png", f"data/test/{mark or 'x'}/0.png")
        )
        files = {odd.encode("utf-8", "replace").decode() if "\ud800" in odd else odd: changed}
        notes.append(f"called {odd!r}")
    command = ["evaluate", "weights/lenet5.small.safetensors", "--data-root", "data", "-j", "0"]
    command += draw.choice(([], ["--skip-corrupt"], ["--json", "--skip-corrupt"], ["--no-cache"]))
    return Case("image", "images", files, command, notes)


def idx(seeds: Seeds, draw: random.Random, outside: str) -> Case:
    """The IDX files of MNIST."""
    name = draw.choice(("data/MNIST/raw/t10k-images-idx3-ubyte.gz", "data/MNIST/raw/t10k-labels-idx1-ubyte"))
    changed, notes = pictures.mutate_idx(seeds["idx"][name], draw)
    command = ["evaluate", "weights/lenet5.idx.safetensors", "--data-root", "data", "-j", "0"]
    return Case("idx", "idx", {name: changed}, command, notes)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("manifest", 170, ("onnx", "torchscript", "old"), manifest),
        Kind("weights", 150, ("weights",), weights),
        Kind("checkpoint", 80, ("run",), checkpoint),
        Kind("run", 90, ("run",), run),
        Kind("recipe", 110, ("recipe",), recipe),
        Kind("config", 60, ("config",), config),
        Kind("golden", 50, ("onnx",), golden),
        Kind("pt2", 50, ("pt2",), artifact("pt2")),
        Kind("torchscript", 50, ("torchscript",), artifact("torchscript")),
        Kind("onnx", 60, ("onnx",), artifact("onnx")),
        Kind("signature", 25, ("signed",), signature),
        Kind("cache", 40, ("cache",), cache),
        Kind("image", 60, ("images", "onnx", "pictures"), image),
        Kind("idx", 30, ("idx",), idx),
    )
}


def _export_command(draw: random.Random) -> list[str]:
    if draw.random() < 0.05:
        return ["verify", "out", *SEED, "--strict", "--against", MODEL]
    commands = (
        *(
            ["verify", "out", *SEED],
            ["verify", "out", *SEED],
            ["verify", "out", *SEED, "--json"],
            ["predict", "out", "x.png"],
        ),
        *(["predict", "out", "x.png", "--json"], ["zoo_runtime", "--folder", "out", "x.png"]),
        ["zoo_runtime", "--verify", "--folder", "out"],
    )
    return list(draw.choice(commands))
