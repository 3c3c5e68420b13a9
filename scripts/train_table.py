"""Train every run of a table, several at once, with equal time for each, and print what came out.

    python scripts/train_table.py DATA OUT [--minutes 12] [--jobs 2] [--device cuda] [--only PATTERN …] [--table FILE]

DATA holds the datasets; the table (scripts/train_table.toml) says which, with which plans, methods, folds and seeds.
OUT gets plans, shared prepared cases, a bundle and a log a run, e.g. `acdc-unet-f0-s0` and `acdc-unet-f0-s0.log`. A run
that has its bundle is left alone and one that was interrupted goes on, so that the command can be given again. On one
GPU many small networks train side by side, each on one thread: start NVIDIA's MPS before, or they wait for one another.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from operator import itemgetter
from pathlib import Path
from typing import Any

from voxtrace.bundle import JSON, card

TABLE = Path(__file__).with_suffix(".toml")
VOXTRACE = (sys.executable, "-c", "from voxtrace.cli import main; main()")
ITERATIONS = 8000  # at most, of a run for which the table has no number


@dataclass(frozen=True)
class Run:
    """One training of the table: its name, its entry, its fold (none: all cases) and its seed."""

    name: str
    entry: Mapping[str, Any]
    fold: int | None
    seed: int

    def command(self, dataset: Path, out: Path, minutes: float, device: str, precision: str) -> list[str]:
        """Return the command that trains it, or goes on with it."""
        entry = self.entry
        options = {
            "--method": entry["method"],
            "--plan": out / "plans" / f"{entry['plan']}.json",
            "--prepared": out / "prepared" / entry["plan"],
            "--iterations": entry.get("iterations", ITERATIONS),
            "--average": entry.get("average", 0.995),
            "--workers": entry.get("workers", 0),
            "--fold": self.fold,
            "--labels": entry.get("labels"),
            "--seed": self.seed,
            "--minutes": entry.get("minutes", minutes),
            "--device": device,
            "--precision": precision,
            "--out": out / self.name,
        }
        words = [str(word) for name, value in options.items() if value is not None for word in (name, value)]
        chosen = [word for value in entry.get("set", ()) for word in ("--set", value)]
        resume = ["--resume"] if (out / f"{self.name}.work").exists() else []
        return [*VOXTRACE, "train", str(dataset), *words, *chosen, *resume]


def runs(table: Mapping[str, Any], patterns: list[str]) -> Iterator[Run]:
    """Yield the runs of a table whose name matches one of the patterns: seed by seed, in its order."""
    entries = [{**table.get("default", {}), **entry} for entry in table["run"]]
    planned = [(seed, entry) for entry in entries for seed in entry.get("seeds", [0])]
    for seed, entry in sorted(planned, key=itemgetter(0)):
        for fold in entry.get("folds", [None]):
            name = f"{entry['name']}-{'all' if fold is None else f'f{fold}'}-s{seed}"
            if any(fnmatch(name, pattern) for pattern in patterns):
                yield Run(name, entry, fold, seed)


def made_dataset(name: str, table: Mapping[str, Any], data: Path, out: Path) -> Path:
    """Return the folder of a dataset: one of DATA, or one that the table makes of it under OUT."""
    entry = table.get("dataset", {}).get(name)
    if entry is None:
        return data / name
    folder = out / "datasets" / name
    if not (folder / "scores.json").exists():
        shutil.rmtree(folder, ignore_errors=True)
        source = data / entry["from"]
        for file in source.rglob("*"):
            if file.is_file() and not file.name.startswith(tuple(entry["leave_out"])):
                copy = folder / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)  # DATA may be read-only; the copy is not
                shutil.copyfile(file, copy)
        record = json.loads((folder / "dataset.json").read_text(encoding="utf-8"))
        record["numTraining"] = len(list((folder / "imagesTr").iterdir()))
        (folder / "dataset.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        subprocess.run(
            [*VOXTRACE, "score", str(folder), "--labels", *(str(folder / name) for name in entry["score"])], check=True
        )
    return folder


def make_plan(name: str, entry: Mapping[str, Any], dataset: Path, out: Path) -> None:
    """Write a plan file, unless it is there: as `voxtrace plan` has it for a CPU, with what the table changes in it."""
    file = out / "plans" / f"{name}.json"
    if file.exists():
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    plan = [*VOXTRACE, "plan", str(dataset), "--device", "cpu", *entry["options"], "--out", str(new)]
    if subprocess.run(plan, check=False, stdout=subprocess.DEVNULL).returncode > 1:  # 1: notes worth a look
        raise SystemExit(f"no plan for {dataset}; see `voxtrace plan {dataset}`")
    record = json.loads(new.read_text(encoding="utf-8"))
    if "widths" in entry:
        record["plan"]["topology"]["widths"] = entry["widths"]
    if "augmentation" in entry:
        record["plan"]["augmentation"] = entry["augmentation"]
    new.write_text(json.dumps(record), encoding="utf-8")
    new.replace(file)


def train(run: Run, command: list[str], out: Path, threads: int) -> int:
    """Run one training with its output in a log; return its exit code, 0 where the bundle was there before."""
    if (out / run.name / JSON).exists():
        return 0
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with (out / f"{run.name}.log").open("a", encoding="utf-8") as log:
        print(*command, file=log, flush=True)
        return subprocess.run(command, check=False, stdout=log, stderr=log, env=environment).returncode


def row(folder: Path) -> str:
    """Return the line of the printed table about a bundle."""
    record = card(folder)
    made, found = record["provenance"], record.get("metrics", {}).get("validation") or {}
    head = f"{folder.name:<32} {made['iterations']:>6} {made['seconds']:>6.0f} s"
    if not found:
        return f"{head}  no held-back cases"
    dice = found["dice"]
    low, high = dice.get("ci95") or (float("nan"), float("nan"))
    steps = " ".join(f"{step:.4f}" for step in found["dice_per_step"])
    return f"{head}  {dice['mean']:.4f} [{low:.4f}, {high:.4f}] n {found['cases']}  as the network answers: {steps}"


def main() -> int:
    """Train what is not there yet, and print the table; exit code 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=12.0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--only", nargs="+", default=["*"])
    parser.add_argument("--table", type=Path, default=TABLE)
    given = parser.parse_args()
    table = tomllib.loads(given.table.read_text(encoding="utf-8"))
    wanted = list(runs(table, given.only))
    plans = {run.entry["plan"]: table["plan"][run.entry["plan"]] for run in wanted}
    given.out.mkdir(parents=True, exist_ok=True)
    folders = {name: made_dataset(plan["dataset"], table, given.data, given.out) for name, plan in plans.items()}
    for name, plan in plans.items():
        make_plan(name, plan, folders[name], given.out)

    def one(run: Run) -> int:
        command = run.command(folders[run.entry["plan"]], given.out, given.minutes, given.device, given.precision)
        return train(run, command, given.out, given.threads)

    with ThreadPoolExecutor(given.jobs) as pool:
        codes = dict(zip((run.name for run in wanted), pool.map(one, wanted), strict=True))
    for run in wanted:
        folder = given.out / run.name
        print(row(folder) if (folder / JSON).exists() else f"{run.name:<32} failed, see {run.name}.log")
    return int(any(codes.values()))


if __name__ == "__main__":
    sys.exit(main())
