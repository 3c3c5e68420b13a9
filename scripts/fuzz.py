"""Damage whole files of every format and read them: `make fuzz`, or a round of it in `make test`.

    python scripts/fuzz.py --count 10000 --out fuzz

Input number 0, 1, 2 … is always the same. What is done already is taken from ``OUT/results.jsonl``, so a run that was
stopped goes on. Each input runs in a child process with 5 s of processor time and 1 GB of memory. Inputs that end in
anything but an answer or one of VoxTrace's own errors are kept in ``OUT/findings/``; the exit code is 1 then.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[variable] = "1"  # a forked child has no threads of its parent
os.environ["VOXTRACE_READ_IN_PROCESS"] = "1"  # the child of each input takes the place of the reader process
ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "fuzz"), str(ROOT / "tests" / "helpers")]

import fuzz_child  # noqa: E402
import fuzz_inputs  # noqa: E402
import fuzz_readers  # noqa: E402

HEAVY = ("bundle", "dataset", "nnunet", "remembered", "run")
RESULTS, FINDINGS, BASES = "results.jsonl", "findings", "bases"


def main() -> int:
    """Run the inputs that are wanted, print a table, and return the exit code."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.hostile:
        return _hostile(options.only)
    bases = _bases(options.out / BASES)
    done = _done(options.out / RESULTS)
    numbers = options.only or range(options.first, options.first + options.count)
    kept = {made.number: made for made in fuzz_inputs.kept(options.corpus)} if options.corpus else {}
    wanted = [*numbers, *kept]
    left = [
        (one, kept[one].kind if one in kept else fuzz_inputs.kind_of(one, bases)) for one in wanted if one not in done
    ]
    with tempfile.TemporaryDirectory(prefix="voxtrace-fuzz-") as folder:
        for heavy in (False, True):  # a process that has not loaded torch forks twice as fast
            those = [base for base in bases if (base.kind in HEAVY) == heavy]
            refused = _warm_up(those, Path(folder))
            inputs = [number for number, kind in left if heavy == (kind in HEAVY)]
            for count, number in enumerate(inputs, 1):
                made = kept[number] if number in kept else fuzz_inputs.drawn(number, bases)
                done[made.number] = _one(made, those, refused, Path(folder), options.out)
                if options.progress and count % 500 == 0:
                    print(f"{count}: {dict(Counter(one['outcome'] for one in done.values()))}", flush=True)
    _print([done[number] for number in wanted])
    return int(any(done[number]["outcome"] not in fuzz_child.GOOD for number in wanted))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Damage whole files of every format and read them.")
    parser.add_argument("--count", type=int, default=10_000, help="how many inputs (10,000)")
    parser.add_argument("--first", type=int, default=0, help="the first number (0)")
    parser.add_argument("--only", type=int, nargs="*", default=(), help="these numbers, in place of a range")
    parser.add_argument("--out", type=Path, default=Path("fuzz"), help="where results and findings go (./fuzz)")
    parser.add_argument("--corpus", type=Path, help="a folder of inputs to run as well, such as tests/fuzz/corpus")
    parser.add_argument("--hostile", action="store_true", help="read the files made on purpose instead, and time them")
    parser.add_argument("--progress", action="store_true", help="print a line for each 500 inputs")
    return parser.parse_args()


def _hostile(only: Sequence[int]) -> int:
    """Read each of the files that a stranger would make on purpose, print a table, and return the exit code."""
    bad = 0
    with tempfile.TemporaryDirectory(prefix="voxtrace-fuzz-") as folder:
        _without_kernels(Path(folder) / "own")
        for number, (name, kind) in _in_child(lambda: _make_hostile(Path(folder), only)):
            path = Path(folder) / str(number)
            steps = lambda kind=kind, path=path: fuzz_readers.readers(kind, path)  # noqa: E731
            outcome, _ = fuzz_child.run(path, steps)
            bad += outcome.outcome not in fuzz_child.GOOD
            print(json.dumps({"name": name, **asdict(outcome)}), flush=True)
    return int(bad > 0)


def _make_hostile(folder: Path, only: Sequence[int]) -> list[tuple[int, tuple[str, str]]]:
    """Write each into a folder of its number, and return numbers, names and kinds."""
    import fuzz_hostile

    made = []
    for number, (name, (kind, maker)) in enumerate(fuzz_hostile.HOSTILE.items()):
        if not only or number in only:
            (folder / str(number)).mkdir()
            maker(folder / str(number))
            made.append((number, (name, kind)))
    return made


def _in_child(make: Callable[[], Any]) -> Any:
    """Return what a function returned in a child, as JSON; here no library is loaded and no thread started by it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(make()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise SystemExit("the inputs could not be made")
    return json.loads(told)


def _bases(folder: Path) -> list[fuzz_inputs.Base]:
    """Return the bases, which are made where they are not there yet."""
    if not folder.is_dir():
        _in_child(lambda: _make_bases(folder.with_name("bases.new")))
        folder.with_name("bases.new").rename(folder)
    return fuzz_inputs.bases(folder)


def _make_bases(folder: Path) -> None:
    import fuzz_bases

    fuzz_bases.make(folder)


def _done(file: Path) -> dict[int | str, dict[str, Any]]:
    if not file.is_file():
        return {}
    lines = file.read_text("utf-8").splitlines()
    return {one["number"]: one for one in map(json.loads, lines)}


def _warm_up(bases: Iterable[fuzz_inputs.Base], folder: Path) -> dict[tuple[str, str], set[str]]:
    """Read each base in a child, and load here what it had to load, so that no later child has to.

    Returns what each whole base is refused for, e.g. a scan as labels. Anything but an answer or an error of ours means
    that the fuzzing itself is broken.
    """
    refused = {}
    _without_kernels(folder / "own")
    for base in bases:
        path = folder / "warm"
        fuzz_inputs.write(fuzz_inputs.Damaged(-1, base.kind, base.name, {}), base, path)

        def steps(base: fuzz_inputs.Base = base, path: Path = path) -> Iterable[tuple[str, fuzz_readers.Reader]]:
            yield from fuzz_readers.readers(base.kind, path)
            yield "modules", lambda: (path / "modules").write_text("\n".join(sys.modules))

        outcome, refused[base.kind, base.name] = fuzz_child.run(path, steps)
        if outcome.outcome not in fuzz_child.GOOD:
            raise SystemExit(f"the whole {base.kind} {base.name} ends in {outcome}")
        for name in (path / "modules").read_text().splitlines():
            if name not in sys.modules and not name.startswith("__"):
                _load(name)
        fuzz_readers.emptied(path)
    return refused


def _without_kernels(folder: Path) -> None:
    """Switch off the kernels that would be compiled anew in each child: seconds for a network of a second's work."""
    from voxtrace.kernels import switches

    folder.mkdir(exist_ok=True)
    # what is remembered or unpacked there does not count as elsewhere
    os.environ["XDG_CACHE_HOME"] = os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    (folder / "kernels.json").write_text(json.dumps({"disabled": switches.GROUPS}))
    switches.user_file = lambda: folder / "kernels.json"


def _load(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception:
        return  # loaded by another way than its name


def _one(
    made: fuzz_inputs.Damaged,
    bases: list[fuzz_inputs.Base],
    refused: dict[tuple[str, str], set[str]],
    folder: Path,
    out: Path,
) -> dict[str, Any]:
    """Run one input, write down how it ended, and keep it if it is a finding."""
    base = next(one for one in bases if (one.kind, one.name) == (made.kind, made.base))
    path = folder / "input"
    (folder / "outside.raw").write_bytes(bytes(1000))
    fuzz_inputs.write(made, base, path)
    steps = lambda: fuzz_readers.readers(made.kind, path)  # noqa: E731
    outcome, _ = fuzz_child.run(path, steps, refused[made.kind, made.base])
    fuzz_readers.emptied(path)
    result = {
        "number": made.number,
        "kind": made.kind,
        "base": made.base,
        "files": list(made.changed),
        **asdict(outcome),
    }
    with (out / RESULTS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")
    if outcome.outcome not in fuzz_child.GOOD:
        fuzz_inputs.write(
            made, fuzz_inputs.Base(made.kind, made.base, {}), out / FINDINGS / made.kind / made.base / str(made.number)
        )
    return result


def _print(results: list[dict[str, Any]]) -> None:
    """Print how many inputs of each kind ended how, the findings, and the highest time and memory."""
    kinds = sorted({one["kind"] for one in results})
    print(f"{'kind':12}" + "".join(f"{name:>9}" for name in fuzz_child.OUTCOMES) + "   most s  most MB")
    for kind in (*kinds, "all"):
        those = [one for one in results if kind in (one["kind"], "all")]
        counts = Counter(one["outcome"] for one in those)
        most = max(one["seconds"] for one in those), max(one["megabytes"] for one in those)
        print(
            f"{kind:12}"
            + "".join(f"{counts[name]:9}" for name in fuzz_child.OUTCOMES)
            + f"{most[0]:9.1f}{most[1]:9.0f}"
        )
    bad = [one for one in results if one["outcome"] not in fuzz_child.GOOD]
    for (outcome, where), count in Counter((one["outcome"], one["where"]) for one in bad).most_common():
        first = next(one for one in bad if (one["outcome"], one["where"]) == (outcome, where))
        print(f"{count:5} {outcome} {where}: {first['message'][:160]!r} (input {first['number']})")


if __name__ == "__main__":
    sys.exit(main())
