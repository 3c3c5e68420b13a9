"""Run the numeric tests under each instruction set that this processor has, and print a table.

    python scripts/test_isa.py [--list] [--only ONEDNN=AVX2 ...] [pytest arguments ...]

Two libraries choose their instructions when they are loaded, so that each run is a process of its own: oneDNN
(``ONEDNN_MAX_CPU_ISA``: convolutions and products) and torch's own kernels (``ATEN_CPU_CAPABILITY``: norms,
activations, sums). Each is lowered alone while the other keeps what it takes by itself. What the processor lacks is
skipped, with the reason. The exit code is 1 if any run fails.
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARKED = "numeric and not slow and not gpu"


@dataclass(frozen=True)
class InstructionSet:
    """A value of an environment variable, and the flags of /proc/cpuinfo that it needs."""

    library: str
    variable: str
    value: str
    needs: tuple[str, ...]

    @property
    def name(self) -> str:
        """As the table and ``--only`` have it."""
        return f"{self.library}={self.value}"

    def missing(self, flags: set[str]) -> list[str]:
        """Return the flags that this processor lacks."""
        return [flag for flag in self.needs if flag not in flags]

    @property
    def environment(self) -> dict[str, str]:
        """Return this process's environment with the library lowered, and the other left alone."""
        kept = {k: v for k, v in os.environ.items() if k not in ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY")}
        return kept if self.value == "default" else {**kept, self.variable: self.value}


AVX512 = ("avx512f", "avx512bw", "avx512dq", "avx512vl")
SETS = (
    InstructionSet("ONEDNN", "ONEDNN_MAX_CPU_ISA", "default", ()),  # ATEN=default is the same run
    InstructionSet("ONEDNN", "ONEDNN_MAX_CPU_ISA", "AVX2", ("avx2",)),
    InstructionSet("ONEDNN", "ONEDNN_MAX_CPU_ISA", "AVX512_CORE", AVX512),
    InstructionSet("ONEDNN", "ONEDNN_MAX_CPU_ISA", "AVX512_CORE_BF16", (*AVX512, "avx512_bf16")),
    InstructionSet("ATEN", "ATEN_CPU_CAPABILITY", "avx2", ("avx2",)),
    InstructionSet("ATEN", "ATEN_CPU_CAPABILITY", "avx512", AVX512),
)


def processor_flags() -> set[str]:
    """Return the flags of /proc/cpuinfo; none where there is no such file."""
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:
        return set()
    found = re.search(r"^flags\s*:(.*)$", text, re.MULTILINE)
    return set(found[1].split()) if found else set()


def run(chosen: InstructionSet, arguments: list[str]) -> tuple[bool, str]:
    """Run the tests; return whether they passed, and pytest's last line."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", MARKED, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=chosen.environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    if done.returncode:
        print("\n".join(line for line in lines if line.startswith(("FAILED", "ERROR"))) or "\n".join(lines[-20:]))
    return done.returncode == 0, lines[-1].strip("= ")


def main() -> int:
    """Run what was asked for and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--list", action="store_true", help="say what this processor has, and run nothing")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[s.name for s in SETS], help="e.g. ONEDNN=AVX2")
    asked, arguments = parser.parse_known_args()
    unknown = set(asked.only) - {s.name for s in SETS}
    if unknown:
        parser.error(f"{', '.join(sorted(unknown))} is unknown; choose from {', '.join(s.name for s in SETS)}")
    flags, rows, passed = processor_flags(), [], True
    for chosen in (s for s in SETS if s.name in asked.only):
        missing = chosen.missing(flags)
        if missing:
            rows.append((chosen.name, "skipped", f"this {platform.machine()} processor has no {', '.join(missing)}"))
        elif asked.list:
            rows.append((chosen.name, "is there", ""))
        else:
            began = time.monotonic()
            good, told = run(chosen, arguments)
            passed &= good
            rows.append((chosen.name, "passed" if good else "FAILED", f"{told} ({time.monotonic() - began:.0f} s)"))
            print(*rows[-1], flush=True)
    print()
    for name, verdict, told in rows:
        print(f"{name:24}  {verdict:8}  {told}")
    return 0 if passed else 1


if __name__ == "__main__":
    raise SystemExit(main())
