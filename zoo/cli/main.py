"""The entry point: commands from the registry, errors in two lines, exit codes that mean something.

Exit codes: 0 done; 1 an error that is explained; 2 wrong usage; 3 checked and found different; 130 Ctrl-C;
143 asked to end (SIGTERM). Anything else is a bug and keeps its traceback.
"""

import errno
import os
import signal
import sys
from types import FrameType
from typing import Any

import click

from zoo import __version__
from zoo.errors import ZooError
from zoo.plugins import discover
from zoo.refs import resolve
from zoo.registry import Registry
from zoo.specs import Command


class ZooGroup(click.Group):
    """A group whose subcommands are the registry's commands, imported when they are used and not before."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({entry.spec.name for entry in context.ensure_object(Lazy).registry.entries(Command)})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        entry = context.ensure_object(Lazy).registry.find(Command, name)
        command: click.Command = resolve(entry, entry.spec.run)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        entries = context.ensure_object(Lazy).registry.entries(Command)
        with formatter.section("Commands"):
            formatter.write_dl([(entry.spec.name, entry.spec.summary) for entry in entries])


class Lazy:
    """The registry of this process, made when it is first asked for; broken plugins are warned of once, then."""

    def __init__(self) -> None:
        self._registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            self._registry = Registry(discover())
            for plugin in self._registry.plugins:
                if plugin.error:
                    warn(f"the plugin {plugin.name} of {plugin.distribution} is left out ({plugin.error})")
        return self._registry


@click.group(cls=ZooGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zoo")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train image classifiers, export them to ONNX and TorchScript, and prove that the exports are right."""
    context.ensure_object(Lazy)


def warn(text: str) -> None:
    """One line to standard error."""
    click.echo(f"warning: {' '.join(text.split())}", err=True)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    signal.signal(signal.SIGTERM, _end)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line and give its exit code."""
    try:
        result: Any = cli.main(arguments, prog_name="zoo", standalone_mode=False)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except ZooError as error:
        return _explain(error.cause, error.next_step, error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "zoo"
        return _explain(error.format_message(), f"See `{path} --help`.", 2)
    except (click.Abort, KeyboardInterrupt):
        click.echo("\nerror: Interrupted.\n  next: Nothing is half-written; run the same command again.", err=True)
        return 130
    except BrokenPipeError:
        _drop_output()
        return 141  # as a process that a broken pipe ends
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO) or error.filename:
            raise
        _drop_output()
        return _explain(f"The output could not be written: {error.strerror}.", "Make room, or send it elsewhere.", 1)


def _explain(cause: str, next_step: str, code: int) -> int:
    click.echo(f"error: {' '.join(cause.split())}\n  next: {' '.join(next_step.split())}", err=True)
    return code


def _drop_output() -> None:
    """Keep Python from complaining once more when it closes standard output."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
