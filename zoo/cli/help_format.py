"""How help texts are laid out: as click does it, but lines break at spaces only, and not at hyphens."""

from collections.abc import Iterable

import click

from zoo.api.terminal import cells, wrapped

UNBROKEN = "\u2011"  # a hyphen at which click does not break a line
NARROW = 72  # columns, below which the column of options is narrower


class HelpFormatter(click.HelpFormatter):
    """A formatter that keeps `--grad-accum-steps` and `{test|hold-out}` whole."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """As click, and breaks no word."""
        super().write_usage(prog, args.replace("-", UNBROKEN), prefix)

    def write_text(self, text: str) -> None:
        """As click, and breaks no word."""
        super().write_text(text.replace("-", UNBROKEN))

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write terms and their meanings in two columns. A term that is too long is on a line of its own."""
        rows, indent = list(rows), self.current_indent
        widest = col_max if self.width >= NARROW else col_max // 2
        first = indent + min(max((cells(term) for term, _ in rows), default=0), widest) + col_spacing
        for term, meaning in rows:
            head = wrapped(" " * indent + term, self.width, indent + col_spacing)
            text = wrapped(" ".join(meaning.split("\n")), self.width - first) if meaning else []
            text = [f"{' ' * max(0, min(first, self.width - cells(line)))}{line}" for line in text]
            if text and len(head) == 1 and cells(head[0]) + col_spacing <= first and cells(text[0]) >= first:
                head, text = [head[0] + text[0][cells(head[0]) :]], text[1:]
            self.write("".join(f"{line}\n" for line in (*head, *text)))

    def getvalue(self) -> str:
        """The text that was written."""
        return super().getvalue().replace(UNBROKEN, "-")


class HelpContext(click.Context):
    """A context whose help is laid out by `HelpFormatter`."""

    formatter_class = HelpFormatter


def use_help_format(command: click.Command) -> None:
    """Lay out the help of a command, and of those below it, in this way."""
    command.context_class = HelpContext
    if isinstance(command, click.Group):
        for each in command.commands.values():
            use_help_format(each)
