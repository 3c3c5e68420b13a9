"""A filter of system calls (seccomp): no network, no other program or process, no change to what others see of files.

The filter is a small program that the Linux kernel runs at each call; see
https://docs.kernel.org/userspace-api/seccomp_filter.html. What it refuses fails as if it were not permitted.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

from voxtrace.io.child.landlock import forgo_privileges

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _PROCESSOR, _FIRST_ARGUMENT = 0, 4, 16  # where the kernel puts them
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_OTHER_NUMBERING = 0x40000000  # of calls under x86-64's 32-bit convention
_THREAD = 0x00010000  # clone makes a thread, not a process
_SET_SECCOMP, _GET_SECCOMP, _FILTER = 22, 21, 2

_PROCESSORS = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_REFUSED = {
    "x86_64": (
        *(41, 42, 43, 46, 49, 50, 288, 307),  # sockets, except a pair whose ends only reach each other
        *(57, 58, 59, 322),  # processes and programs
        *(62, 129, 200, 297, 424, 434, 438),  # signals to others, and their descriptors
        *(101, 310, 311),  # memory of others
        *(90, 91, 92, 93, 94, 132, 188, 189, 190, 197, 198, 199, 235, 260, 261, 268, 280, 452),  # owners, rights, times
        *(165, 166, 272, 304, 308, 428, 429, 430, 431, 432, 442),  # mounts and namespaces
        *(248, 249, 250, 298, 321, 323, 425, 426, 427),  # keys, and doors of the kernel that readers do not need
    ),
    "aarch64": (
        *(198, 200, 201, 202, 203, 211, 242, 269),
        *(221, 281),
        *(129, 130, 138, 240, 424, 434, 438),
        *(117, 270, 271),
        *(5, 6, 7, 14, 15, 16, 52, 53, 54, 55, 88, 452),
        *(39, 40, 97, 265, 268, 428, 429, 430, 431, 432, 442),
        *(217, 218, 219, 241, 280, 282, 425, 426, 427),
    ),
}
_CLONE, _SIGNAL_THREAD = {"x86_64": 56, "aarch64": 220}, {"x86_64": 234, "aarch64": 131}
_CLONE3 = 435
_SEND, _FIFTH_ARGUMENT = {"x86_64": 44, "aarch64": 206}, _FIRST_ARGUMENT + 4 * 8  # to whom a message goes


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def is_available() -> bool:
    """Return whether the system filters calls, and the numbers of this processor's are known."""
    if sys.platform != "linux" or platform.machine() not in _PROCESSORS or sys.maxsize < 1 << 32:
        return False
    return bool(ctypes.CDLL(None).prctl(_GET_SECCOMP, 0, 0, 0, 0) >= 0)


def restrict_calls() -> None:
    """Refuse to this process from now on what the module says.

    Raises
    ------
    OSError
        When the system refuses.
    """
    instructions = _instructions(platform.machine(), os.getpid())
    program = _Program(len(instructions), b"".join(struct.pack("=HBBI", *one) for one in instructions))
    forgo_privileges()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _instructions(machine: str, process: int) -> list[tuple[int, int, int, int]]:
    """Return the filter: code, how many instructions to skip if true, if false, and a number."""
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _FAIL | errno.EPERM)
    # glibc then makes threads by clone, whose arguments the filter can see
    unknown = (_RETURN, 0, 0, _FAIL | errno.ENOSYS)
    program = [
        (_LOAD, 0, 0, _PROCESSOR),
        (_EQUAL, 1, 0, _PROCESSORS[machine]),
        refuse,
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _OTHER_NUMBERING),
        refuse,
    ]
    for number in _REFUSED[machine]:
        program += [(_EQUAL, 0, 1, number), refuse]
    program += [(_EQUAL, 0, 1, _CLONE3), unknown]
    program += [
        (_EQUAL, 0, 4, _CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_ANY_BIT, 0, 1, _THREAD),
        allow,
        refuse,
    ]
    # event loops wake themselves over a pair of sockets; to an address nothing is sent
    to_nobody = [(_LOAD, 0, 0, _FIFTH_ARGUMENT), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, _FIFTH_ARGUMENT + 4)]
    program += [(_EQUAL, 0, 6, _SEND[machine]), *to_nobody, (_EQUAL, 0, 1, 0), allow, refuse]
    # abort() signals a thread of its own process
    own = [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_EQUAL, 0, 1, process), allow, refuse]
    return [*program, (_EQUAL, 0, 4, _SIGNAL_THREAD[machine]), *own, allow]
