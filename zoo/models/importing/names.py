"""Match the tensors of a file with those of a module: by name, or by order and shape."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

# What wrappers put in front of every name, and what torch.compile, FSDP and checkpointing put in the middle, too.
PREFIXES = ("module.", "model.", "backbone.", "net.", "network.", "encoder.", "state_dict.", "ema.", "_model.")
INFIXES = ("_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.")
COUNTER = "num_batches_tracked"  # of BatchNorm; state dicts before PyTorch 0.4.1 have none
ROLES = {"weight", "bias", "running_mean", "running_var", COUNTER}


@dataclass(frozen=True)
class Pair:
    """A tensor of the file and the one of the module that it becomes.

    Args:
        source, target: their names.
        shape: of both.
        by_order: whether their place, and not their name, says so.
    """

    source: str
    target: str
    shape: tuple[int, ...]
    by_order: bool = False


@dataclass(frozen=True)
class Match:
    """How the tensors of a file fit a module.

    Args:
        pairs: in the order of the module. Where one is by order, the user has to agree.
        removed: prefixes that were taken off.
        counters: names of counters of BatchNorm that the file lacks; they are 0, as PyTorch sets them then.
        problems: why it does not fit; empty if it does.
        misfits: pairs of names, in the file and in the module, whose shapes differ.
    """

    pairs: tuple[Pair, ...]
    removed: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    misfits: tuple[tuple[str, str], ...] = ()

    @property
    def by_order(self) -> bool:
        """Whether a pair is by order."""
        return any(pair.by_order for pair in self.pairs)


def match(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Match:
    """Match tensors of a file with the state dict of a module.

    Tensors of the same name are a pair. Those that are left over on both sides are pairs in their order, if there are
    as many, and each has the shape and the role (`weight`, `running_mean`) of its partner.

    Args:
        tensors: by name, in the order of the file.
        expected: the state dict of the module.
    """
    renamed, removed = without_prefixes(list(tensors), expected)
    named = {name: renamed[name] for name in expected if name in renamed}
    misfits = [(source, name) for name, source in named.items() if tensors[source].shape != expected[name].shape]
    unlike = [
        f"{name} is {_shape(tensors[source])} in the file and {_shape(expected[name])} in the model"
        for source, name in misfits
    ]
    pairs = [Pair(source, name, tuple(expected[name].shape)) for name, source in named.items()]
    rest = [source for name, source in renamed.items() if name not in named]
    open_ = [name for name in expected if name not in named]
    counters: list[str] = []
    if not any(source.endswith(COUNTER) for source in rest):
        counters = [name for name in open_ if name.endswith(COUNTER)]
        open_ = [name for name in open_ if not name.endswith(COUNTER)]
    problems = _first(unlike)
    differ = None if unlike else _first_misfit(rest, open_, tensors, expected)
    if unlike or differ or len(rest) != len(open_):
        problems += _first(rest, " is in the file alone") + _first(open_, " is missing")
        if differ and rest and open_:
            source, name = differ
            shapes = f"{source} ({_shape(tensors[source])}) would become {name} ({_shape(expected[name])})"
            problems.append(f"in their order, {shapes}")
            misfits.append(differ)
    else:
        pairs += [
            Pair(source, name, tuple(expected[name].shape), by_order=True)
            for source, name in zip(rest, open_, strict=True)
        ]
    place = {name: number for number, name in enumerate(expected)}
    pairs.sort(key=lambda pair: place[pair.target])
    return Match(tuple(pairs), removed, tuple(counters), tuple(problems), tuple(misfits))


def without_prefixes(names: Sequence[str], expected: Mapping[str, Tensor]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Take prefixes off names, where all have them or where more names are those of the module without them.

    Returns:
        The names in the file by those without prefixes, in the order of the file; and the prefixes.
    """
    current, removed = {name: name for name in names}, list[str]()

    def matches(renamed: Mapping[str, str]) -> int:
        return sum(name in expected for name in renamed)

    for infix in INFIXES:
        if any(infix in name for name in current):
            shorter = {name.replace(infix, ""): source for name, source in current.items()}
            if len(shorter) == len(current):
                current = shorter
                removed.append(infix)
    while True:
        for prefix in PREFIXES:
            shorter = {name.removeprefix(prefix): source for name, source in current.items()}
            if len(shorter) < len(current) or "" in shorter or shorter == current:
                continue
            gained = matches(shorter) - matches(current)
            if gained > 0 or (gained == 0 and not matches(current) and all(n.startswith(prefix) for n in current)):
                current = shorter
                removed.append(prefix)
                break
        else:
            return current, tuple(removed)


def _first_misfit(
    sources: Sequence[str], targets: Sequence[str], tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[str, str] | None:
    """The first two names that cannot be a pair where those that are left over are paired in their order."""
    for source, target in zip(sources, targets, strict=False):
        roles = {name.rpartition(".")[2] for name in (source, target)} & ROLES
        if tensors[source].shape != expected[target].shape or len(roles) == 2:
            return source, target
    return None


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _first(items: Sequence[str], what: str = "") -> list[str]:
    """The first of `items` and how many more there are, as a list of one text, or of none."""
    more = f" (and {len(items) - 1:,} more)" if len(items) > 1 else ""
    return [f"{items[0]}{what}{more}"] if items else []
