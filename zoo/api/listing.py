"""`zoo.list_models`: names, without importing torch."""

from collections import Counter
from fnmatch import fnmatchcase

from zoo.api.installed import registry_of
from zoo.contract.errors import UsageError
from zoo.contract.specs import Architecture
from zoo.files.folders import weights_files
from zoo.registry.pretrained import pretrained_names
from zoo.registry.registry import Registry


def list_models(pattern: str = "*", *, pretrained: bool = False, registry: Registry | None = None) -> list[str]:
    """The names of architectures, or of weights, sorted. Imports no torch.

    Args:
        pattern: a shell pattern that the name of the architecture or the whole `ARCH.TAG` matches, such as `timm/*`.
        pretrained: list weights as `ARCH.TAG` instead of architectures: the files that zoo finds, and the weights that
            plugins provide, whether they are on this machine or not.
        registry: of plugins; the installed ones by default.

    Returns:
        Names that `zoo.create_model` takes. An architecture that several plugins provide is listed once for each,
        with its owner: `zoo-kit:resnet18`.

    Example:
        >>> import zoo
        >>> zoo.list_models("lenet*")
        ['lenet5']
        >>> zoo.list_models("lenet5", pretrained=True)  # doctest: +SKIP
        ['lenet5.digits']
    """
    if not isinstance(pattern, str):
        raise UsageError(f"pattern={pattern!r:.80} is not a text.", "Pass a shell pattern, such as 'resnet*'.")
    if pretrained:
        names = sorted({*weights_files(), *pretrained_names(registry_of(registry))})
        return [name for name in names if _matches(name, pattern) or _matches(name.partition(".")[0], pattern)]
    registry = registry_of(registry)
    matching = [name for name in registry.names(Architecture) if _matches(name, pattern)]
    entries = [entry for name in matching for entry in registry.entries(Architecture, name)]
    names = [entry.spec.name for entry in entries]
    count = Counter(names)
    return [
        name if count[name] == 1 else registry.short_name(entry) for name, entry in zip(names, entries, strict=True)
    ]


def _matches(name: str, pattern: str) -> bool:
    return fnmatchcase(name, pattern)
