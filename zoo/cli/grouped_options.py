"""Options in sections of a command's help, and flags of earlier releases that still work and are not shown."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class AliasedOption(click.Option):
    """An option with hidden flags.

    Args:
        aliases: hidden flags that take the same value, or to the value that they stand for.
        default_text: the default in words, for the help.
    """

    def __init__(
        self,
        *args: Any,
        aliases: Sequence[str] | Mapping[str, Any] = (),
        default_text: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.aliases = aliases
        self.default_text = default_text

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        for alias in self.aliases:
            how: dict[str, Any] = {"action": "store", "nargs": self.nargs}
            if isinstance(self.aliases, Mapping):
                how = {"action": "store_const", "const": self.aliases[alias]}
            parser.add_option(obj=self, opts=[alias], dest=self.name, **how)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        record = super().get_help_record(ctx)
        if record is None or not self.default_text:
            return record
        return record[0], f"{record[1]}  [default: {self.default_text}]".strip()


class GroupedCommand(click.Command):
    """A command whose help shows its options in sections.

    Args:
        sections: title to names of parameters. What is in no section is shown last, under "Options".
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        options = {param.name: param for param in self.get_params(ctx) if isinstance(param, click.Option)}
        sections = {title: [options.pop(name) for name in names] for title, names in self.sections.items()}
        for title, members in {**sections, "Options": list(options.values())}.items():
            with formatter.section(title):
                formatter.write_dl([record for option in members if (record := option.get_help_record(ctx))])
