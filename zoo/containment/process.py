"""Start a child, exchange frames with it, and say in a sentence how it ended. See `child.py` for the other side."""

import os
import selectors
import signal
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from zoo.containment import protocol
from zoo.containment.errors import TRUST, ContainmentError
from zoo.containment.forking import fork_child
from zoo.containment.limits import GIB, MEMORY, SECONDS, Limits
from zoo.containment.protocol import AnyArray, Decoder, Frame, InvalidFrame
from zoo.containment.server import STATUS
from zoo.contract.printable import plain

KEPT_OUTPUT = 4096  # bytes of the end of what it prints
QUOTED = 200  # characters of that in an error
CHUNK = 2**16
PIPE_SIZE = 2**20
GRACE = 2.0  # seconds for a process that closed its pipe to end


class ChildProcess:
    """A process that answers requests about a file, one at a time, from any thread of the process that made it.

    It is started at once, and imports what it needs while the caller does something else. It ends with `close`, when
    this object is collected, or when this process ends in whatever way.

    Args:
        title: the file's name, for errors.
        service: ref of what answers in the child, made from `setup`.
        setup: for the service; plain data, without anything that the file says.
        limits: of memory and time.
        accelerator: whether it computes elsewhere than on the CPU; see `system.restrictions.restrict`.
        scratch: a folder in which the child may write.
        advice: the next step of an error, where more time or memory is not all that helps.
    """

    def __init__(
        self,
        title: str,
        service: str,
        setup: Mapping[str, Any],
        limits: Limits,
        *,
        accelerator: bool = False,
        scratch: Path | None = None,
        advice: str = TRUST,
    ) -> None:
        self.restrictions: dict[str, str] = {}
        self._title, self._limits, self._lock = plain(title), limits, threading.Lock()
        self._advice = advice
        self._failure: ContainmentError | None = None
        self._output = bytearray()
        ours, theirs = _pipes()
        refs = (service, *(setup.get("reads") or (setup.get("runner", ""), setup.get("stages", ""))))
        modules = ["torch"] if accelerator else []  # it brings the libraries of CUDA, for others too
        modules += [ref.partition(":")[0] for ref in refs if ref]
        try:
            fork_child(modules, theirs)
        except OSError as error:
            for descriptor in ours:
                os.close(descriptor)
            raise ContainmentError(f"{self._title} cannot be run in a process of its own: {error}.", advice) from None
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        self._requests, self._replies, self._log, _, self._status = ours
        self._owner = os.getpid()
        self._closer = weakref.finalize(self, _end, ours, self._owner)
        first = {
            **setup,
            "service": service,
            "limits": vars(limits),
            "accelerator": accelerator,
            "scratch": None if scratch is None else str(scratch),
            "written": 0 if scratch is None else 2 * limits.size + GIB,
        }
        self._unsent: list[memoryview] = protocol.encode(first)

    def ask(
        self, request: Mapping[str, Any], array: AnyArray | None = None, *, seconds: float, largest: int = 0
    ) -> Frame:
        """Send a request and wait for the answer.

        Args:
            seconds: that it may take.
            largest: bytes that the array of the answer may have.

        Raises:
            ContainmentError: it took longer or needed more memory, the process was ended, or what it sent is no answer.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if os.getpid() != self._owner:
                raise ContainmentError(f"{self._title} was loaded before this process was forked.", "Load it again.")
            try:
                until = time.monotonic() + seconds
                if not self.restrictions:
                    self.restrictions = _restrictions(self._exchange(self._unsent, until, 0))
                frame = self._exchange(protocol.encode(request, array), until, largest)
                if frame[0].get("error") == "memory":
                    raise ContainmentError(*self._out_of_memory())
            except TimeoutError:
                self._fail(
                    f"{self._title} did not finish within {seconds:g} s.",
                    f"For more time, set {SECONDS} to a number of seconds. {self._advice}",
                )
            except InvalidFrame as error:
                self._fail(f"The process that ran {self._title} sent {error}, which is no answer.", self._advice)
            except (BrokenPipeError, EOFError):
                self._fail(*self._ended())
            except BaseException:  # Ctrl-C above all: what comes next would be the answer to this request
                self.close()
                raise
            return frame

    def close(self) -> None:
        """End the process."""
        self._failure = self._failure or ContainmentError(f"The process of {self._title} was closed.", "Load it again.")
        self._closer()

    def _fail(self, cause: str, next_step: str) -> NoReturn:
        self._failure = ContainmentError(cause, next_step)
        self.close()
        raise self._failure from None

    def _exchange(self, unsent: list[memoryview], until: float, largest: int) -> Frame:
        """Write the parts of a request and read an answer, and meanwhile what the process prints.

        Raises:
            TimeoutError, EOFError, BrokenPipeError, InvalidFrame: there is no answer.
        """
        decoder = Decoder(largest)
        with selectors.DefaultSelector() as selector:
            selector.register(self._replies, selectors.EVENT_READ)
            selector.register(self._log, selectors.EVENT_READ)
            if unsent:
                selector.register(self._requests, selectors.EVENT_WRITE)
            while decoder.frame is None:
                left = until - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                for key, _ in selector.select(left):
                    if key.fd == self._log:
                        if not self._read_output():
                            selector.unregister(self._log)
                    elif key.fd == self._requests:
                        unsent[0] = unsent[0][os.write(self._requests, unsent[0][:PIPE_SIZE]) :]
                        if not unsent[0]:
                            unsent.pop(0)
                        if not unsent:
                            selector.unregister(self._requests)
                    else:
                        count = os.readv(self._replies, [decoder.space])
                        if not count:
                            raise EOFError
                        decoder.advance(count)
        return decoder.frame

    def _read_output(self) -> bool:
        """Take what the process printed and keep its end; false where nothing more can come."""
        data = os.read(self._log, CHUNK)
        self._output += data
        del self._output[:-KEPT_OUTPUT]
        return bool(data)

    def _ended(self) -> tuple[str, str]:
        """Cause and next step for a process that is gone, or has closed its pipe."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._status, selectors.EVENT_READ)
            ended = selector.select(GRACE)
        if not ended:
            return f"The process that ran {self._title} closed its pipe.", self._advice
        status = os.read(self._status, STATUS.size)
        if len(status) < STATUS.size:
            return f"The process that ran {self._title} is gone, and how it ended is not known.", self._advice
        (code,) = STATUS.unpack(status)
        with suppress(BlockingIOError):
            while self._read_output():
                pass
        lines = [line for line in self._output.decode("utf-8", "replace").splitlines() if line.strip()]
        last = plain(lines[-1])[:QUOTED] if lines else ""
        if "bad_alloc" in last:
            return self._out_of_memory()
        printed = f" It printed last: {last!r}." if last else ""
        if code == -signal.SIGXCPU:
            return (
                f"{self._title} used more processor time than it may.",
                f"For more time, set {SECONDS} to a number of seconds. {self._advice}",
            )
        if code < 0:
            name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
            hint = ", which the system sends where memory runs out" if code == -signal.SIGKILL else ""
            return f"The process that ran {self._title} was ended by {name}{hint}.{printed}", self._advice
        return f"The process that ran {self._title} ended with the exit code {code}.{printed}", self._advice

    def _out_of_memory(self) -> tuple[str, str]:
        allowed = self._limits.memory_for() / GIB
        return (
            f"{self._title} needs more memory than it may use, {allowed:.3g} GiB.",
            f"For more, set {MEMORY} to a number of GiB. {self._advice}",
        )


def _pipes() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Our ends of five pipes and the child's: requests, replies, what it prints, the lifeline, how it ended."""
    (their_requests, requests), (replies, their_replies), (log, their_log) = os.pipe(), os.pipe(), os.pipe()
    (their_lifeline, lifeline), (status, their_status) = os.pipe(), os.pipe()
    for descriptor in (requests, replies, log):
        os.set_blocking(descriptor, False)
    for descriptor in (requests, replies):
        _enlarge(descriptor)
    return (
        (requests, replies, log, lifeline, status),
        (their_requests, their_replies, their_log, their_lifeline, their_status),
    )


def _enlarge(descriptor: int) -> None:
    """Let a pipe hold more, so that images take fewer turns; where the system allows it."""
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


def _end(descriptors: Sequence[int], owner: int) -> None:
    """Close our ends, and with them the lifeline, which ends the child."""
    if os.getpid() == owner:  # not in a fork of the process that started it
        for descriptor in descriptors:
            os.close(descriptor)


def _restrictions(frame: Frame) -> dict[str, str]:
    measures = frame[0].get("restrictions")
    if not isinstance(measures, dict) or not measures or not all(isinstance(why, str) for why in measures.values()):
        raise InvalidFrame("no list of its restrictions")
    return measures
