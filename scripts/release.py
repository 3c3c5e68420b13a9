"""What a release consists of: two equal builds, checked, with a list of everything in it.

::

    scripts/release.py licences            write MODEL_LICENCES.md from the cards of the shipped models
    scripts/release.py icon                draw docs/images/icon.png
    scripts/release.py sbom dist/sbom.json write the versions of constraints.txt and the models as CycloneDX 1.6
    scripts/release.py build dist          build sdist and wheel twice, refuse a difference, keep the first
    scripts/release.py check dist          build, and check with twine, check-wheel-contents and npe2
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
import uuid
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "src" / "voxtrace" / "shipped"
SAMPLES = ROOT / "src" / "voxtrace" / "samples"
LICENCES = ROOT / "MODEL_LICENCES.md"
MOST_BYTES = 40 << 20  # of a wheel: an index takes 100 MB, people wait for each of them
_HEAD = """# Licences of the models that VoxTrace ships

The code is under Apache-2.0 (`LICENSE`). Each model carries its own licence; `scripts/release.py licences` writes this
list from their cards, and a test compares.

| model | licence | trained on | licence of the data | for |
|---|---|---|---|---|
"""
_ATTRIBUTION = """
## Whose data they learned

`voxtrace train` computed the weights from scans and outlines of others; pictures of a few slices lie beside them and in
the documentation. Weights and pictures are shared under the licence of those data. NC: **for non-commercial use
alone**; for any other use of VoxTrace delete the folders of these models from `voxtrace/shipped`: all else goes on.
"""
_TEXTS = {
    "CC BY 4.0": "https://creativecommons.org/licenses/by/4.0/legalcode",
    "CC BY SA 4.0": "https://creativecommons.org/licenses/by-sa/4.0/legalcode",
    "CC BY NC SA 4.0": "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode",
}


def cards() -> dict[str, dict[str, Any]]:
    """Return the card of each shipped model by name."""
    return {file.parent.name: json.loads(file.read_text("utf-8")) for file in sorted(SHIPPED.glob("*/bundle.json"))}


def licences() -> str:
    """Return the list of licences as Markdown."""
    return "".join((_HEAD, *(_line(name, card) for name, card in cards().items()), _ATTRIBUTION, *_attributions()))


def _line(name: str, card: Mapping[str, Any]) -> str:
    made = card["provenance"]
    data = "none: made-up scans" if card.get("demonstration") else made["dataset_licence"]
    about = f"{made['dataset']}, {made.get('cases_learned', made['cases'])} cases"
    return f"| {name} | {card['licence']} | {about} | {data} | {card['intended_use'].split('.')[0].lower()} |\n"


def _attributions() -> Iterator[str]:
    """Yield what each licence that asks for it demands beside its name: whose data, and where its text is."""
    models: dict[str, list[str]] = {}
    for name, card in cards().items():
        if said := card.get("about", {}).get("attribution"):
            models.setdefault(said, []).append(name)
        elif not card["licence"].startswith("Apache"):
            raise SystemExit(
                f"{name} is under {card['licence']} and names no source; give it one: voxtrace models describe"
            )
    for said, names in models.items():
        texts = [url for licence, url in _TEXTS.items() if licence in said.replace("-", " ")]
        if len(texts) != 1:
            raise SystemExit(f"{names[0]}: its attribution names none of {', '.join(_TEXTS)}: {said}")
        yield f"\n* **{', '.join(names)}**: {said} Text of the licence: <{texts[0]}>\n"


def project() -> dict[str, Any]:
    """Return the table ``project`` of ``pyproject.toml``."""
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return table


def version() -> str:
    """Return the version that ``src/voxtrace/version.py`` states."""
    return (ROOT / "src" / "voxtrace" / "version.py").read_text("utf-8").rpartition("= ")[2].strip().strip('"')


def sbom(when: int) -> dict[str, Any]:
    """Return a CycloneDX document: every pin of ``constraints.txt`` and every shipped model with its SHA-256."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    components = [_package(name.lower().replace("_", "-"), pin) for name, pin in pins]
    components += [_model(name, card) for name, card in cards().items()]
    us = {**_package("voxtrace", version()), "licenses": [{"expression": project()["license"]}]}
    content = json.dumps([us, components], sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, content)}",
        "version": 1,
        "metadata": {"timestamp": datetime.fromtimestamp(when, UTC).isoformat(), "component": us},
        "components": components,
    }


def _package(name: str, pin: str) -> dict[str, Any]:
    purl = f"pkg:pypi/{name}@{pin}"
    return {"type": "library", "name": name, "version": pin, "bom-ref": purl, "purl": purl}


def _model(name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "machine-learning-model",
        "name": name,
        "bom-ref": f"model:{name}",
        "hashes": [{"alg": "SHA-256", "content": card["files"]["weights.safetensors"]}],
        "licenses": [{"license": {"name": card["licence"]}}],
    }


def icon(size: int = 256) -> Image.Image:
    """Return the icon: the contour of an organ, from a first guess (faint) to the answer (bright)."""
    from PIL import Image, ImageDraw

    fine = 4 * size  # drawn large, then made smaller: smooth lines
    picture = Image.new("RGBA", (fine, fine), (0, 0, 0, 0))
    pen = ImageDraw.Draw(picture)
    pen.rounded_rectangle((0, 0, fine - 1, fine - 1), fine // 6, fill=(28, 33, 40, 255))
    for step, grey in enumerate((90, 140, 190, 255)):
        half = fine * (0.40 - 0.055 * step)
        x, y = fine * (0.55 - 0.03 * (3 - step)), fine * (0.46 + 0.02 * (3 - step))
        colour = (grey // 4, grey * 3 // 4, grey, 255)
        pen.ellipse((x - half, y - 0.8 * half, x + half, y + 0.8 * half), outline=colour, width=fine // 40)
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def commit_time() -> int:
    """Return when the last commit was made, seconds since 1970, as SOURCE_DATE_EPOCH counts; that variable wins."""
    if told := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(told)
    return int(_git("log", "-1", "--format=%ct"))


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def build(out: Path) -> list[Path]:
    """Build sdist and wheel twice from copies of the tracked files; keep the first, refuse a difference."""
    with tempfile.TemporaryDirectory(prefix="voxtrace-release-") as folder:
        builds = [_built(Path(folder) / name, umask) for name, umask in (("first", 0o022), ("again", 0o077))]
        for one, other in zip(*builds, strict=True):
            if one.name != other.name or one.read_bytes() != other.read_bytes():
                raise SystemExit(f"{one.name} differs between two builds.")
        out.mkdir(parents=True, exist_ok=True)
        made = [Path(shutil.copyfile(file, out / file.name)) for file in builds[0]]
    for file in made:
        print(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}  {file.stat().st_size / 1e6:.1f} MB")
    return made


def _built(folder: Path, umask: int) -> list[Path]:
    """Return sdist and wheel, built from a fresh copy under another umask; the wheel is made from the sdist."""
    before = os.umask(umask)
    try:
        for name in _git("ls-files", "-z").split("\0"):
            if name and (ROOT / name).is_file():
                target = folder / "source" / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
                target.chmod((0o777 if os.access(ROOT / name, os.X_OK) else 0o666) & ~umask)
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), "source"]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(commit_time())}
        subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    finally:
        os.umask(before)
    return sorted((folder / "dist").iterdir())


def check(out: Path) -> None:
    """Build, and refuse what twine, check-wheel-contents, npe2 or the list of contents object to."""
    missing = [name for name in ("build", "hatchling", "twine", "check_wheel_contents", "npe2") if not _there(name)]
    if missing:
        raise SystemExit(f"{', '.join(missing)} not installed; make release-check installs them.")
    made = build(out)
    (wheel,) = (file for file in made if file.suffix == ".whl")
    (out / "sbom.json").write_text(json.dumps(sbom(commit_time()), indent=1) + "\n", encoding="utf-8")
    _run("twine", "check", "--strict", *map(str, made))
    # W002: copies are looked for below. W004: models lie in folders whose names have dashes. W009, W010: the manifest
    # is a package of its own, of data.
    _run("check_wheel_contents", "--ignore", "W002,W004,W009,W010", str(wheel))
    _run("npe2", "validate", str(ROOT / "napari.yaml"))
    if faults := wheel_faults(wheel):
        raise SystemExit("\n".join(faults))
    print("release: two equal builds, and nothing to object to")


def wheel_faults(wheel: Path) -> list[str]:
    """Return a sentence for each fault of a wheel's contents."""
    with zipfile.ZipFile(wheel) as archive:
        names, files = archive.namelist(), archive.infolist()
    needed = ["voxtrace_manifest/napari.yaml", "voxtrace/py.typed"]
    needed += [f"voxtrace/shipped/{name}/{file}" for name in cards() for file in ("bundle.json", "card.md")]
    needed += [f"voxtrace/samples/{file.name}" for file in sorted(SAMPLES.iterdir()) if file.suffix in (".nii", ".txt")]
    faults = [f"{wheel.name} lacks {name}." for name in needed if name not in names]
    faults += [f"{wheel.name} lacks {name}." for name in ("LICENSE", LICENCES.name) if not _ends(names, name)]
    faults += [f"{wheel.name} holds {name}." for name in names if "__pycache__" in name or name.startswith("tests/")]
    faults += [f"{wheel.name} holds {one} and the same as {other}." for one, other in _copies(files)]
    if wheel.stat().st_size > MOST_BYTES:
        faults.append(f"{wheel.name} has {wheel.stat().st_size:,} bytes; expected at most {MOST_BYTES:,}.")
    return faults


def _copies(files: Iterable[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """Yield pairs of files with the same bytes; licences lie beside what they are for and in the list of licences."""
    seen: dict[tuple[int, int], str] = {}
    for file in files:
        if file.file_size and ".dist-info/licenses/" not in file.filename:
            first = seen.setdefault((file.CRC, file.file_size), file.filename)
            if first != file.filename:
                yield file.filename, first


def _ends(names: list[str], file: str) -> bool:
    return any(name.endswith(f".dist-info/licenses/{file}") for name in names)


def _there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run(*words: str) -> None:
    if code := subprocess.run([sys.executable, "-m", *words], cwd=ROOT, check=False).returncode:
        raise SystemExit(f"{words[0]} objects (exit code {code}).")


def main() -> None:
    """Do what the first word says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("licences", "icon", "sbom", "build", "check"))
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "dist")
    asked = parser.parse_args()
    if asked.do == "licences":
        LICENCES.write_text(licences(), encoding="utf-8")
    elif asked.do == "icon":
        icon().save(ROOT / "docs" / "images" / "icon.png")
    elif asked.do == "sbom":
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(json.dumps(sbom(commit_time()), indent=1) + "\n", encoding="utf-8")
    else:
        {"build": build, "check": check}[asked.do](asked.out)


if __name__ == "__main__":
    main()
