"""Messages in the words of whoever reads them: flags on the command line, arguments in Python.

Messages are written once, with flags as they are typed. `in_python` names the arguments of the Python API in their
place: `Use --opt sgd.` becomes `Use opt="sgd".`
"""

import re

SWITCHES = frozenset(
    ("download", "dynamic_size", "force", "freeze", "skip_corrupt", "strict", "tensorboard", "torchcompile", "amp")
)  # that take no value
CHOICES = frozenset(
    ("against", "aa", "balance", "data", "device", "initial_checkpoint", "loss", "opt", "output", "precision", "sched")
)  # whose value is a word
RENAMED = {
    "no-verify": "verify=False",
    "no-cache": "cache=False",
    "provider": "devices",
    "format": "formats",
    "param": "params",
    "loss-param": "loss_params",
    "smoothing": "loss_params",
}
LISTS = frozenset(("devices", "formats"))
LATER_WORDS = "and|are|but|for|if|in|instead|is|names|not|of|on|or|that|the|then|to|which|with"  # a sentence goes on
COMMAND = r"`(?:zoo|torchrun|python|pip)\b[^`]*`|\b(?:torchrun|python|pip|zoo (?:train|export|verify)) [^`]*?--.*"
FLAG = r"(?<![\w/-])(?P<quote>`?)--(?P<flag>[a-z][a-z0-9-]*[a-z0-9])"
VALUE = rf"(?: (?P<value>-?\d[\d.e+-]*(?<![.])|[A-Z]{{2,}}\b|(?!(?:{LATER_WORDS})\b)[a-z0-9_/.@:,-]*[a-z0-9_]))?"
PATTERN = re.compile(rf"{COMMAND}|{FLAG}{VALUE}")
FOREIGN = frozenset(("nnodes", "nproc-per-node", "help", "json"))  # of torchrun, or of the command line alone


def in_python(text: str) -> str:
    """The message with the arguments of the Python API in place of flags. Commands to run stay as they are."""
    return PATTERN.sub(_argument, text) if "--" in text else text


def _argument(match: re.Match[str]) -> str:
    flag: str | None = match["flag"]
    value: str | None = match["value"]
    if flag is None or flag in FOREIGN:
        return match[0]
    name = RENAMED.get(flag, flag.replace("-", "_"))
    rest, quote = f" {value}" if value else "", match["quote"]
    return quote + _named(name, flag, value, rest, quoted=bool(quote))


def _named(name: str, flag: str, value: str | None, rest: str, *, quoted: bool) -> str:
    if "=" in name:
        return name + rest
    if flag.startswith("no-"):
        return f"{name.removeprefix('no_')}=False{rest}"
    if name in SWITCHES:
        return f"{name}=True{rest}"
    if not value:
        return name if quoted else f"`{name}`"
    if flag == "channels":
        return f"in_channels={value} (channels={value} in a recipe)"
    if name in LISTS:
        return f"{name}={[each for each in value.split(',') if each]}"
    if name.endswith("params"):
        return name + rest
    if value[0].isdigit() or value[0] == "-" or value.isupper():
        return f"{name}={value}"
    return f'{name}="{value}"' if name in CHOICES else name + rest
