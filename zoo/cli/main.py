"""The entry point of the command line: dispatch to commands, print errors in two lines, set the exit code.

Exit codes: 0 success; 1 error; 2 usage error; 3 a check failed; 129 SIGHUP; 130 Ctrl-C; 141 broken pipe; 143 SIGTERM.
Any other exception is a bug and keeps its traceback.
"""

import errno
import io
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import click

from zoo.api.terminal import erase_announcement
from zoo.cli.help_format import HelpContext, use_help_format
from zoo.cli.interrupts import Terminated, install, uninstall
from zoo.cli.output import print_error, print_line
from zoo.contract.errors import (
    DifferenceError,
    PluginError,
    UnknownName,
    UsageError,
    ZooError,
    limit_error,
    shows_tracebacks,
)
from zoo.contract.printable import plain_lines
from zoo.contract.specs import Command
from zoo.registry.discovery import discover
from zoo.registry.problems import problems
from zoo.registry.refs import resolve
from zoo.registry.registry import Registry
from zoo.version import __version__

MAX_MESSAGE = 20_000  # characters of an error that are printed; it may quote a file of any size


class ZooGroup(click.Group):
    """A group whose subcommands are the commands in the registry. A command is imported when it is used."""

    context_class = HelpContext

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({entry.spec.name for entry in context.ensure_object(Lazy).registry.entries(Command)})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        try:
            entry = context.ensure_object(Lazy).registry.find(Command, name)
        except UnknownName as error:
            raise UsageError(error.cause, error.next_step) from None
        command = resolve(entry, entry.spec.run)
        if not isinstance(command, click.Command):
            raise PluginError(
                f"The command {name} of {entry.plugin.distribution} is not a click command but a "
                f"{type(command).__name__}.",
                f"Correct {entry.spec.run}, or report it to the author of the plugin.",
            )
        use_help_format(command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        registry = context.ensure_object(Lazy).registry
        plain_names = [entry.full_name for entry in registry.defaults(Command)]
        rows = [
            (entry.spec.name if entry.full_name in plain_names else registry.short_name(entry), entry.spec.summary)
            for entry in registry.entries(Command)
        ]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


class Lazy:
    """The registry of this process, created on first use. It warns once of broken plugins and of names without one."""

    def __init__(self) -> None:
        self._registry: Registry | None = None

    @property
    def registry(self) -> Registry:
        if self._registry is None:
            self._registry = Registry(discover(), warn=warn)
            for text in problems(self._registry):
                warn(text)
        return self._registry


@click.group(cls=ZooGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="zoo")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train image classifiers, export them, and prove that the exports compute what the models compute."""
    context.ensure_object(Lazy)


def warn(text: str) -> None:
    """Print a warning in one line to standard error."""
    print_line(f"warning: {' '.join(text.split())}", err=True)


def main() -> None:
    """Run the command line, and exit with its exit code."""
    _open_standard_streams()
    _escape_warnings()
    install()
    try:
        code = run(sys.argv[1:])
    except (Terminated, KeyboardInterrupt) as error:  # while an error was being printed
        code = 128 + (error.number if isinstance(error, Terminated) else signal.SIGINT)
    uninstall()
    erase_announcement()
    _exit_rank(code)
    sys.exit(code)


def _exit_rank(code: int) -> None:
    """End a process that trained together with others; see `zoo.training.distributed.rendezvous.exit_rank`."""
    rendezvous = sys.modules.get("zoo.training.distributed.rendezvous")  # not imported for this: it imports torch
    if rendezvous is not None:
        with suppress(UsageError):  # the environment makes no sense, and so nothing was joined
            rendezvous.exit_rank(code)


def run(arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    output, lazy = sys.stdout, Lazy()
    try:
        result: Any = cli.main(arguments, prog_name="zoo", standalone_mode=False, obj=lazy)
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except ZooError as error:
        _print_traceback(error)
        _print_notes(error)
        return _explain(error.cause, error.next_step, error.exit_code, _verdict(error))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else "", err=True)
        return 2
    except click.UsageError as error:
        _print_traceback(error)
        path = error.ctx.command_path if error.ctx else _command_path(arguments, lazy)
        return _explain(error.format_message(), f"Run `{path} --help`.", 2)
    except click.ClickException as error:
        _print_traceback(error)
        return _explain(
            error.format_message(), "Correct the option or file, and run the command again.", error.exit_code
        )
    except Terminated as error:
        _print_notes(error)
        return 128 + error.number
    except (click.Abort, KeyboardInterrupt) as error:  # click raises `Abort` from the interrupt
        if not _print_notes(error if error.__cause__ is None else error.__cause__):
            print_line("Interrupted: nothing partial was left.", err=True)
        return 130
    except BrokenPipeError:
        return _broken_pipe()
    except SystemExit as error:
        if sys.stdout is output and not isinstance(error.__context__, BrokenPipeError):
            raise
        return _broken_pipe()  # click wraps the output and exits with 1
    except Exception as error:
        if limit := limit_error(error):
            _print_traceback(error)
            return _explain(limit.cause, limit.next_step, limit.exit_code)
        if not isinstance(error, OSError):
            raise
        if _no_folder():
            return _explain(
                "The current folder was deleted.", "Change to another folder, and run the command again.", 1
            )
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO) or error.filename:
            raise
        _drop_output()
        return _explain(
            f"The output could not be written: {error.strerror}.", "Free disk space, or redirect the output.", 1
        )


def _command_path(arguments: list[str], lazy: Lazy) -> str:
    """The command that arguments name, such as `zoo train`; click does not say it where an option lacks its value."""
    context: click.Context = click.Context(cli, info_name="zoo", obj=lazy)
    for name in arguments:
        command = context.command.get_command(context, name) if isinstance(context.command, click.Group) else None
        if name.startswith("-") or command is None:
            break
        context = click.Context(command, context, info_name=name)
    return context.command_path


def _verdict(error: ZooError) -> str:
    """The verdict of a check that failed; empty for an error of another kind."""
    if not isinstance(error, DifferenceError):
        return ""
    from zoo.contract.evidence import FAIL

    return str(error.details.get("verdict", FAIL))


def _explain(cause: str, next_step: str, code: int, verdict: str = "") -> int:
    with suppress(OSError):  # if standard error cannot be written either, the exit code remains
        cause, next_step = (" ".join(text[:MAX_MESSAGE].split()) for text in (cause, next_step))
        print_error(cause, next_step, verdict)
    return code


def _print_traceback(error: BaseException) -> None:
    """Print the traceback of an error that is explained, for authors: if `ZOO_RAISE_ERRORS` is 1."""
    if shows_tracebacks():
        import traceback

        with suppress(OSError):
            click.echo(plain_lines("".join(traceback.format_exception(error))), nl=False, err=True)


def _print_notes(error: BaseException) -> bool:
    """Print what was noted on an exception, such as how to resume a run, and return whether there was anything."""
    notes = getattr(error, "__notes__", [])[isinstance(error, ZooError) :]  # whose first note is the next step
    with suppress(OSError):
        for note in notes:
            print_line(note, err=True)
    return bool(notes)


def _escape_warnings() -> None:
    """Escape Python's warnings and tracebacks as other text: they quote names and messages from files."""
    import warnings

    format_warning = warnings.formatwarning

    def escaped(*warning: Any, **options: Any) -> str:
        erase_announcement()  # the warning is written next
        return plain_lines(format_warning(*warning, **options))

    warnings.formatwarning = escaped

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        import traceback

        erase_announcement()
        sys.stderr.write(plain_lines("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show


def _broken_pipe() -> int:
    _drop_output()
    return 141  # 128 + SIGPIPE


def _no_folder() -> bool:
    try:
        return not Path.cwd()
    except OSError:
        return True


def _drop_output() -> None:
    """Prevent a second error when Python flushes standard output at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _open_standard_streams() -> None:
    """Open /dev/null for standard streams that are closed, and escape characters that the terminal cannot show.

    Otherwise the next file that is opened would take the place of the stream, and receive what is printed.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDONLY if mode == "r" else os.O_WRONLY)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8"))  # noqa: PTH123, SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
