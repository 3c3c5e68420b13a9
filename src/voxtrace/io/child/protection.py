"""What the system lets a reader process do: memory, time, files, network.

Only Linux can do all of it. Elsewhere a reader process is still a process of its own with a limit of time, and
:class:`Protection` says what is missing.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from voxtrace.io.child import landlock, seccomp

_STACKS = 16 << 20  # bytes of address space for each thread that a reader may start
_SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/localtime")
_DEVICES = ("/dev/null", "/dev/urandom", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu")


@dataclass(frozen=True)
class Protection:
    """What holds for a reader process on this system.

    Attributes
    ----------
    forks
        Whether each call runs in a process that ends with it.
    memory
        Whether memory is limited.
    files
        Whether it can open only its inputs, the libraries, and a folder for temporary files.
    network
        Whether it can open no connection, run no program, and send no signal to another process.
    """

    forks: bool = False
    memory: bool = False
    files: bool = False
    network: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether nothing is missing."""
        return self.forks and self.memory and self.files and self.network

    @property
    def sentence(self) -> str:
        """What is limited, and what is not."""
        parts = {"memory": self.memory, "access to files": self.files, "network and programs": self.network}
        held = ["time", *(name for name, holds in parts.items() if holds)]
        missing = [name for name, holds in parts.items() if not holds]
        lacking = f"; not limited on this system: {', '.join(missing)}" if missing else ""
        return f"in a process of its own with limited {', '.join(held)}{lacking}"


def protection() -> Protection:
    """Return what holds on this system."""
    linux = sys.platform == "linux"
    return Protection(linux, linux, landlock.version() > 0, seccomp.is_available())


def confine(held: Protection, inputs: Sequence[Path], scratch: Path, memory: int) -> None:
    """Limit this process for good: so many bytes more of memory, these files to read, one folder to write.

    Raises
    ------
    OSError
        When the system refuses what ``held`` promises.
    """
    if held.memory:
        _limit_memory(memory)
    if held.files:
        landlock.restrict_files((*inputs, *_libraries()), (scratch,))
    if held.network:
        seccomp.restrict_calls()


def _limit_memory(more: int) -> None:
    if sys.platform != "linux":
        return
    import resource

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * os.sysconf("SC_PAGESIZE") + more + _STACKS * (os.cpu_count() or 1)
    _lower(resource.RLIMIT_AS, most)
    _lower(resource.RLIMIT_FSIZE, more)
    _lower(resource.RLIMIT_CORE, 0)


def _lower(which: int, most: int) -> None:
    import resource

    _, hard = resource.getrlimit(which)
    limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(which, (limit, limit))


def _libraries() -> tuple[Path, ...]:
    """Return where the interpreter and the installed packages lie, and what libraries ask about the machine."""
    kinds = ("stdlib", "platstdlib", "purelib", "platlib")
    installed = [path for name, path in sysconfig.get_paths().items() if name in kinds]
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages", ".zip"))]
    own = Path(__file__).parents[2]
    libraries = Path(sys.base_prefix, "lib")
    places = (*installed, *packages, str(own), str(libraries), *_SYSTEM, *_DEVICES)
    return tuple(Path(place) for place in dict.fromkeys(places))
