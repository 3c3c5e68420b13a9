"""A release: lists that are current, a start that is quick, and builds that are equal."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import voxtrace
from voxtrace.bundle import shipped

ROOT = Path(__file__).resolve().parents[2]
BUILDERS = ("build", "hatchling")


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("release", ROOT / "scripts" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


release = _script()


def test_the_licences_of_the_models_are_those_of_their_cards() -> None:
    written = (ROOT / "MODEL_LICENCES.md").read_text(encoding="utf-8")
    assert written == release.licences(), "a shipped model changed: run scripts/release.py licences"
    for name, folder in shipped().items():
        licence = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["licence"]
        assert f"| {name} | {licence} |" in written


def test_the_list_of_licences_tells_whose_the_data_are_and_where_each_licence_stands() -> None:
    table, _, sources = release.licences().partition("\n## ")
    for name, card in release.cards().items():
        assert name in table
        others = not card["licence"].startswith("Apache")
        lines = [line for line in sources.splitlines() if line.startswith("* ") and name in line]
        assert len(lines) == others
        if others:
            assert card["about"]["attribution"] in lines[0]
            kind = "-".join(word for word in ("by", "nc", "sa") if word.upper() in re.split(r"\W", card["licence"]))
            assert f"/{kind}/4.0/legalcode" in lines[0]


def test_a_model_of_others_data_that_names_no_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless = {"made": {"licence": "CC-BY 4.0", "about": {}}, "free": {"licence": "Apache-2.0"}}
    monkeypatch.setattr(release, "cards", lambda: nameless)
    with pytest.raises(SystemExit, match=r"made is under CC-BY 4\.0 and names no source"):
        list(release._attributions())


def test_the_licence_of_the_package_names_that_of_each_model() -> None:
    stated = release.project()["license"].split(" AND ")
    for name, folder in shipped().items():
        licence = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))["licence"]
        assert any(licence.replace(" ", "-").startswith(one) for one in stated), f"{name} is under {licence}"


def test_the_bill_of_materials_lists_each_pin_and_each_model_once() -> None:
    document: dict[str, Any] = release.sbom(0)
    pins = [line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line]
    named = {component["bom-ref"] for component in document["components"]}
    assert len(document["components"]) == len(named) == len(pins) + len(shipped())
    assert "pkg:pypi/torch@2.13.0" in named
    assert "model:hippocampus-unet" in named
    assert document["metadata"]["component"]["version"] == voxtrace.__version__
    assert document["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"
    assert document == release.sbom(0)
    assert document["serialNumber"] == release.sbom(1)["serialNumber"]


def test_a_weight_in_the_bill_of_materials_is_the_one_that_is_shipped() -> None:
    import hashlib

    hashes = {c["name"]: c["hashes"][0]["content"] for c in release.sbom(0)["components"] if "hashes" in c}
    for name, folder in shipped().items():
        assert hashes[name] == hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()


def test_napari_hub_finds_what_it_shows() -> None:
    from npe2.manifest.schema import Category
    from PIL import Image

    manifest = yaml.safe_load((ROOT / "napari.yaml").read_text(encoding="utf-8"))
    assert set(manifest["categories"]) <= {category.value for category in Category}
    assert "Segmentation" in manifest["categories"]
    included = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]
    sources = {target.replace("/", ":"): source for source, target in included["force-include"].items()}
    with Image.open(ROOT / sources[manifest["icon"]]) as icon:
        assert icon.format == "PNG"
        assert icon.width == icon.height >= 128
    assert 20 < len(release.project()["description"]) < 200
    assert "Framework :: napari" in release.project()["classifiers"]


def test_the_extra_all_gathers_what_a_user_may_want() -> None:
    extras = release.project()["optional-dependencies"]
    (gathered,) = extras["all"]
    assert gathered == f"voxtrace[{','.join(name for name in extras if name not in ('dev', 'docs', 'all'))}]"


@pytest.mark.parametrize(("statement", "most_s"), [("import voxtrace", 0.3), ("import voxtrace.cli", 2.0)])
def test_the_start_costs_little(statement: str, most_s: float) -> None:
    """Processor time, so that a busy machine changes little; docs/releases.md states what was measured."""
    code = f"import time; begin = time.process_time(); {statement}; print(time.process_time() - begin)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(told.stdout) < most_s


def test_packages_of_other_methods_are_not_looked_for_at_the_start() -> None:
    code = "import sys, voxtrace.cli; sys.exit('voxtrace.methods.installed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_two_builds_are_equal_and_hold_what_they_must(tmp_path: Path) -> None:
    for name in BUILDERS:
        pytest.importorskip(name, reason=f"{name} of the extra 'dev' is not installed")
    made = release.build(tmp_path)
    assert sorted(file.suffix for file in made) == [".gz", ".whl"]
    (wheel,) = tmp_path.glob("*.whl")
    assert release.wheel_faults(wheel) == []


def test_a_wheel_that_lacks_a_model_is_refused(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "voxtrace.whl", "w") as archive:
        archive.writestr("voxtrace/__pycache__/errors.cpython-311.pyc", b"")
        for name in ("voxtrace/one.py", "voxtrace/two.py", "voxtrace-0.3.0.dist-info/licenses/one.py"):
            archive.writestr(name, b"the same")
    faults = release.wheel_faults(tmp_path / "voxtrace.whl")
    assert "voxtrace.whl lacks voxtrace_manifest/napari.yaml." in faults
    assert "voxtrace.whl lacks voxtrace/shipped/hippocampus-unet/bundle.json." in faults
    assert "voxtrace.whl lacks voxtrace/samples/hippocampus_right.nii." in faults
    assert "voxtrace.whl lacks voxtrace/samples/LICENCE.txt." in faults
    assert "voxtrace.whl lacks MODEL_LICENCES.md." in faults
    assert any("holds voxtrace/__pycache__" in fault for fault in faults)
    copies = [fault for fault in faults if "the same as" in fault]
    assert copies == ["voxtrace.whl holds voxtrace/two.py and the same as voxtrace/one.py."]


def test_what_users_are_told_to_install_can_be_pasted_into_any_shell() -> None:
    """Single quotes are letters to the command prompt of Windows."""
    pages = [*(ROOT / "src").rglob("*.py"), *(ROOT / "docs").rglob("*.md")]
    assert [page.name for page in pages if "pip install '" in page.read_text(encoding="utf-8")] == []
