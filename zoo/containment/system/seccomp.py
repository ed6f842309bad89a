"""seccomp: a process of Linux gives up the system calls that open sockets and start programs or processes, for good.

The filter is a program for the kernel's packet filter, which sees the number and the arguments of each call.
"""

import ctypes
import errno
import os
import struct

SET_NO_NEW_PRIVILEGES, SET_SECCOMP, FILTER_MODE = 38, 22, 2  # prctl
ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSE, UNKNOWN = 0x00050000 | errno.EACCES, 0x00050000 | errno.ENOSYS
LOAD, IF_EQUAL, IF_BITS, IF_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets of what the filter sees
THREAD, AF_UNIX = 0x10000, 1
FOREIGN = 0x40000000  # calls of the x32 ABI

# The architecture's own number, then those of its system calls.
X86_64 = (
    0xC000003E,
    {"socket": 41, "clone": 56, "clone3": 435},
    # fork, vfork, execve, execveat, ptrace, process_vm_readv and _writev, io_uring_setup, unshare, setns
    (57, 58, 59, 322, 101, 310, 311, 425, 272, 308),
)
AARCH64 = (
    0xC00000B7,
    {"socket": 198, "clone": 220, "clone3": 435},
    (221, 281, 117, 270, 271, 425, 97, 268),
)
KNOWN = {"x86_64": X86_64, "aarch64": AARCH64}


def give_up_sockets(*, local: bool = False) -> bool:
    """Refuse this process, which must have one thread, to open sockets and to start programs and processes.

    Args:
        local: whether sockets between processes of this machine are allowed, which drivers of GPUs may need.

    Returns:
        Whether it is in force; not on other systems than Linux, nor on architectures whose calls are not listed here.
    """
    machine = KNOWN.get(os.uname().machine) if os.uname().sysname == "Linux" else None
    if machine is None:
        return False
    program = _program(*machine, local)
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
    kernel = ctypes.CDLL(None, use_errno=True)
    if kernel.prctl(SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return bool(kernel.prctl(SET_SECCOMP, FILTER_MODE, head, 0, 0) == 0)


def _program(architecture: int, calls: dict[str, int], refused: tuple[int, ...], local: bool) -> bytes:
    """The filter. A jump skips as many instructions as it says where its condition holds, and where it does not."""
    steps = [
        (LOAD, 0, 0, ARCHITECTURE),
        (IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
        (IF_AT_LEAST, 0, 1, FOREIGN),
        (RETURN, 0, 0, REFUSE),
        # glibc falls back from clone3, whose arguments cannot be seen, to clone.
        (IF_EQUAL, 0, 1, calls["clone3"]),
        (RETURN, 0, 0, UNKNOWN),
        (IF_EQUAL, 0, 4, calls["clone"]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (IF_BITS, 1, 0, THREAD),
        (RETURN, 0, 0, REFUSE),
        (RETURN, 0, 0, ALLOW),
        (IF_EQUAL, 0, 4, calls["socket"]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (IF_EQUAL, 0, 1, AF_UNIX),
        (RETURN, 0, 0, ALLOW if local else REFUSE),
        (RETURN, 0, 0, REFUSE),
    ]
    for number in refused:
        steps += [(IF_EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE)]
    steps.append((RETURN, 0, 0, ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
