"""Run commands in forked processes, one after another, under limits of time and memory."""

import faulthandler
import json
import os
import random
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from fuzzing.case import Case
from fuzzing.outcome import HANG, KILLED, Observed, Result, judge
from fuzzing.sandbox import Sandbox
from fuzzing.watch import Memory, Watch, data_size

SEED_STEPS = 3  # of a training that makes valid files
MOST_TEXT = 10**7  # bytes of output that are read; a list of every pretrained model is half a megabyte
MOST_DATA = 6 * 2**30  # bytes that a process may reserve on top of what it has; guards the machine
Make = Callable[[], Case]


class Stuck(Exception):
    """The fuzzer itself failed while it made an input."""


def run_all(
    inputs: Sequence[Make], sandbox: Sandbox, log: Path, seconds: float, packages: frozenset[str]
) -> Iterator[Result]:
    """The result of each input, in order. A process that hangs or dies is replaced, and the rest goes on in another.

    Args:
        log: a folder for what the processes print.
        seconds: that an input may take.
        packages: see `Watch`.
    """
    position = 0
    while position < len(inputs):
        reader, writer = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(reader)
            _serve(inputs[position:], sandbox, log, writer, packages)
        os.close(writer)
        try:
            for result in _received(reader, process, inputs, position, log, seconds):
                yield result
                position += 1
        finally:
            os.close(reader)
            _end(process)


def in_process(work: Callable[[], None], log: Path) -> int:
    """Do something in a forked process, which prints into `log`, and trains three steps at most; its status."""
    process = os.fork()
    if process == 0:
        code = 1
        with _Redirected(log):
            try:
                TrainingLimit().steps = SEED_STEPS
                work()
                code = 0
            except BaseException:
                traceback.print_exc()
        os._exit(code)
    return os.waitpid(process, 0)[1]


def _received(
    reader: int, process: int, inputs: Sequence[Make], position: int, log: Path, seconds: float
) -> Iterator[Result]:
    buffer, began = b"", ""
    while True:
        if not select.select([reader], [], [], seconds)[0]:
            os.kill(process, signal.SIGUSR1)  # print where it is
            time.sleep(0.5)
            where = _frames(log)
            _end(process)
            yield Result(HANG, f"{began}: {' < '.join(where[:3])}", _text(log / "stack"), seconds=seconds)
            return
        data = os.read(reader, 1 << 20)
        if not data:
            break
        buffer += data
        while b"\n" in buffer:
            line, _, buffer = buffer.partition(b"\n")
            message = json.loads(line)
            if "failure" in message:
                raise Stuck(message["failure"])
            if "begin" in message:
                began = message["begin"]
            else:
                began = ""
                yield Result(**message)
    _, status = os.waitpid(process, 0)
    if began:
        how = signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
        where = _frames(log)
        yield Result(
            KILLED, f"{how}: {began}: {' < '.join(where[:3])}", _text(log / "stack") + _text(log / "err")[-2000:]
        )


def _serve(inputs: Sequence[Make], sandbox: Sandbox, log: Path, writer: int, packages: frozenset[str]) -> NoReturn:
    """Run inputs and report each on `writer`; in a process of its own."""
    try:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (data_size() + MOST_DATA,) * 2)
        stack = (log / "stack").open("w+")
        faulthandler.enable(stack)
        faulthandler.register(signal.SIGUSR1, stack)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.update(sandbox.environment)
        sys.dont_write_bytecode = True  # compiled modules are no writes of a command
        tempfile.tempdir = None  # which was found out before TMPDIR was set
        for name in ("ZOO_WEIGHTS", "ZOO_PREFER", "ZOO_PLUGINS", "ZOO_RAISE_ERRORS"):
            os.environ.pop(name, None)
        sandbox.clear()
        watch, memory = Watch((sandbox.root, log), packages), Memory()
        limit, plugins = TrainingLimit(), PluginsOnce()
        for make in inputs:
            case = make()
            limit.steps, plugins.on = case.steps, case.kind != "config"
            sandbox.enter(case)
            _send(writer, {"begin": f"{case.kind} {case.arguments[0]}"})
            stack.seek(0)
            stack.truncate()
            began = time.perf_counter()
            seen = execute(case, sandbox, log, watch, memory)
            spent = time.perf_counter() - began
            result = judge(seen)
            result.seconds, result.memory, result.notes = round(spent, 4), seen.memory, case.notes
            _send(writer, result.to_dict())
            sandbox.leave(case)
        os._exit(0)
    except BaseException:
        _send(writer, {"failure": traceback.format_exc()})
        os._exit(1)


def execute(case: Case, sandbox: Sandbox, log: Path, watch: Watch, memory: Memory) -> Observed:
    """Run the command of a case in this process, and observe it."""
    os.chdir(sandbox.box)
    random.seed(0)
    code: int | None = None
    error, frames = "", list[str]()
    with _Redirected(log):
        memory.start()
        watch.events.clear()
        watch.on = True
        try:
            code = call(case.arguments)
        except BaseException as exception:
            watch.on = False
            error = type(exception).__name__
            frames = [
                f"{Path(frame.filename).name}:{frame.name}" for frame in traceback.extract_tb(exception.__traceback__)
            ][-3:]
            traceback.print_exc()
        finally:
            watch.on = False
        peak = memory.peak()
    os.chdir(sandbox.root)
    return Observed(
        *(case.arguments, code, error, frames, _text(log / "out"), _text(log / "err")),
        *(sandbox.changes(case), list(watch.events), peak),
    )


def call(arguments: list[str]) -> int:
    """The exit code of a command: of zoo, of the runtime's own command line, or of zoo in a process of its own."""
    if arguments[0] == "zoo_runtime":
        import zoo_runtime

        return zoo_runtime.main(arguments[1:])
    if arguments[0] == "preferences":
        return _preferences()
    if arguments[0] == "process":
        return subprocess.run([sys.executable, "-m", "zoo", *arguments[1:]], check=False).returncode
    from zoo.cli.main import run

    return run(arguments)


def _preferences() -> int:
    """What zoo does with the configuration file where two plugins provide one name."""
    from zoo.contract.errors import ZooError
    from zoo.contract.printable import plain
    from zoo.registry.preferences import preferred_names

    try:
        preferred_names()
    except ZooError as error:
        sys.stderr.write(f"error: {plain(error.cause)}\n  next: {plain(error.next_step)}\n")
        return error.exit_code
    return 0


class TrainingLimit:
    """Interrupts every training in this process after `steps` steps, as Ctrl-C does."""

    def __init__(self) -> None:
        from zoo.training.trainer import Trainer

        self.steps, step = 1, Trainer.step

        def limited(trainer: Any, batches: Any) -> None:
            trainer.taken = getattr(trainer, "taken", 0) + 1
            if trainer.taken > self.steps:
                raise KeyboardInterrupt
            step(trainer, batches)

        Trainer.step = limited  # type: ignore[method-assign]


class PluginsOnce:
    """Finds the plugins of this process once, while it is `on`; every command would take a third of its time for it."""

    def __init__(self) -> None:
        from zoo.cli import main

        discover = main.discover
        self.on, plugins = True, discover()
        main.discover = lambda: plugins if self.on else discover()  # type: ignore[attr-defined]


class _Redirected:
    """Standard output and error into files, of C libraries too."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> None:
        self._saved = [os.dup(1), os.dup(2)]
        for descriptor, name in ((1, "out"), (2, "err")):
            file = os.open(self._log / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(file, descriptor)
            os.close(file)

    def __exit__(self, *error: object) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for descriptor, saved in zip((1, 2), self._saved, strict=True):
            os.dup2(saved, descriptor)
            os.close(saved)


def _send(writer: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(writer, data) :]


def _end(process: int) -> None:
    """Kill the process with its children, and wait for it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(process, 0)


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[-MOST_TEXT:].decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _frames(log: Path) -> list[str]:
    """The innermost frames that faulthandler wrote of the main thread, innermost first."""
    lines = [
        line.split('"')
        for line in _text(log / "stack").rpartition("Current thread")[2].splitlines()
        if '  File "' in line
    ]
    return [f"{Path(parts[1]).name}:{parts[2].rpartition(' in ')[2]}" for parts in lines]
