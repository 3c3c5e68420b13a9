"""A copy of the package with one more option of a prediction, made by changing two files: its declaration and the place
that acts on it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import voxtrace

NAME, SENTENCE = "invert", "Turn the order of the labels round."
DECLARED, ACTING = Path("inference", "options.py"), Path("inference", "one_run.py")
# file -> (the line before which something is added, what is added)
ADDED = {
    DECLARED: ("    method_options: Mapping", f'    {NAME}: bool = option(False, "{SENTENCE}")\n'),
    ACTING: (
        "    result = Result(labels, trace,",
        f"    if options.{NAME}:\n"
        "        labels = LabelMap(labels.data.max() - labels.data, volume.geometry, _names(plan), name=volume.name)\n",
    ),
}


def extended_package(folder: Path) -> Path:
    """Return a folder for ``PYTHONPATH`` whose ``voxtrace`` is the package with the option; the rest are links."""
    source, copy = Path(voxtrace.__file__).parent, folder / "voxtrace"
    (copy / "inference").mkdir(parents=True)
    for path in (*source.iterdir(), *(source / "inference").iterdir()):
        place = copy / path.relative_to(source)
        if not place.exists():
            place.symlink_to(path, target_is_directory=path.is_dir())
    for name, (line, text) in ADDED.items():
        (copy / name).unlink()
        before = (source / name).read_text(encoding="utf-8")
        assert before.count(line) == 1, f"{name} has no line {line!r}"
        (copy / name).write_text(before.replace(line, text + line), encoding="utf-8")
    return folder


def changed_files(folder: Path) -> set[Path]:
    """Return which files of the copy differ from the package's, relative to the package."""
    source, copy = Path(voxtrace.__file__).parent, folder / "voxtrace"
    found = {path.relative_to(source) for path in source.rglob("*.py")}
    return {name for name in found if (source / name).read_bytes() != (copy / name).read_bytes()}


def run_extended(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code with the copy in place of the package."""
    wide = shutil.get_terminal_size().columns * 2
    surroundings = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": str(wide)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=surroundings)
