"""Methods of other packages: found by their entry points, and left out with a sentence where they fail."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from made import Run
from made_regions import nested_dataset
from voxtrace.errors import MethodError
from voxtrace.methods import METHODS, every_method, method
from voxtrace.training.request import TrainRequest
from voxtrace.training.setup import set_up

GOOD = """
from dataclasses import dataclass
from voxtrace.methods.unet import UNet

@dataclass(frozen=True)
class Edge(UNet):
    key = "edge"
"""


class Site:
    """A folder of installed packages that Python looks into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, package: str, name: str, code: str, *, entry: str | None = None) -> None:
        """Install a package whose only module offers ``Edge`` under a name."""
        module = package.replace("-", "_")
        (self.folder / f"{module}.py").write_text(code, encoding="utf-8")
        about = self.folder / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n", encoding="utf-8")
        text = f"[voxtrace.methods]\n{name} = {module}:Edge\n" if entry is None else entry
        (about / "entry_points.txt").write_text(text, encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("vt_"):
            del sys.modules[name]


@pytest.mark.parametrize("metadata", [None, "", "Metadata-Version: 2.1\n"])
def test_what_an_uninstall_left_behind_takes_no_method_along(site: Site, metadata: str | None) -> None:
    site.install("vt-good", "edge", GOOD)
    left = site.folder / "vt_gone-1.0.dist-info"
    left.mkdir()
    (left / "entry_points.txt").write_text("[voxtrace.methods]\ngone = vt_gone:Gone\n", encoding="utf-8")
    if metadata is not None:
        (left / "METADATA").write_text(metadata, encoding="utf-8")
    classes, left_out = every_method()
    assert "edge" in classes
    assert "the method 'gone' of vt_gone:Gone cannot be used" in left_out["gone"]


def test_a_method_of_another_package_is_one_like_the_others(site: Site) -> None:
    site.install("vt-good", "edge", GOOD)
    made = method("edge")
    assert made.key == "edge"
    classes, left_out = every_method()
    assert classes["edge"] is type(made)
    assert left_out == {}
    assert "edge" not in METHODS


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("edge", "import no_such_module", "No module named 'no_such_module'"),
        ("edge", "raise SystemExit(3)", "SystemExit: 3"),
        ("edge", "def f(:", "SyntaxError"),
        ("edge", "Other = 1", "has no attribute 'Edge'"),
        ("edge", "Edge = 1", "names no class that derives from voxtrace.Method"),
        ("edge", "class Edge: key = 'edge'", "names no class that derives from voxtrace.Method"),
        ("rim", GOOD, "its key is 'edge', which differs from the name of its entry point"),
        ("edge", GOOD + "    n: int\n", "TypeError"),
        ("edge", GOOD.replace("methods.unet import UNet", "method import Method as UNet"), "abstract"),
        ("../edge", GOOD.replace('"edge"', '"../edge"'), "up to 64 letters, digits"),
    ],
)
def test_one_that_fails_is_left_out_with_a_sentence(site: Site, name: str, code: str, why: str) -> None:
    site.install("vt-bad", name, code)
    with pytest.raises(MethodError) as refused:
        method(name)
    sentence = str(refused.value)
    assert why in sentence
    assert f"the method {name!r} of vt-bad 1.0 cannot be used" in sentence
    assert sentence.endswith("update or uninstall that package.")
    assert "\n" not in sentence
    classes, left_out = every_method()
    assert classes == METHODS
    assert left_out == {name: sentence}


@pytest.mark.parametrize("name", ["unet", "UNet"])
def test_the_name_of_a_built_in_method_is_not_taken_over(site: Site, name: str) -> None:
    site.install("vt-thief", name, GOOD.replace('"edge"', f'"{name}"'))
    assert type(method("unet")) is METHODS["unet"]
    classes, left_out = every_method()
    assert classes == METHODS
    assert "vt-thief 1.0 is left out: VoxTrace has a method of that name" in left_out[name]


def test_a_name_that_two_packages_give_is_used_for_neither(site: Site) -> None:
    site.install("vt-one", "edge", GOOD)
    site.install("vt-two", "edge", GOOD)
    with pytest.raises(MethodError, match=r"is offered by vt-\w+ 1.0 and by vt-\w+ 1.0, and neither is used"):
        method("edge")


@pytest.mark.parametrize("entry", ["[voxtrace.methods]\nedge\n", "[voxtrace.methods\nedge = a:b\n", "\x00"])
def test_a_package_with_broken_metadata_stops_nothing(site: Site, entry: str) -> None:
    site.install("vt-broken", "edge", GOOD, entry=entry)
    site.install("vt-good", "rim", GOOD.replace('"edge"', '"rim"'))
    assert method("rim").key == "rim"
    assert method("unet").key == "unet"


def test_an_unknown_name_lists_those_of_packages_too_and_imports_none(site: Site) -> None:
    site.install("vt-loud", "edge", "raise RuntimeError('imported')")
    with pytest.raises(MethodError, match=r"no method 'rim'; choose one of cdlunet, .*, unet, edge, or install"):
        method("rim")


def test_a_bundle_imports_what_is_installed_and_nothing_by_its_own_words(site: Site) -> None:
    (site.folder / "vt_evil.py").write_text("raise SystemExit('imported')", encoding="utf-8")
    for name in ("vt_evil:Edge", "vt_evil", "voxtrace.methods.unet:UNet"):
        with pytest.raises(MethodError, match="there is no method"):
            method(name)
    assert "vt_evil" not in sys.modules


def test_packages_are_not_looked_at_for_a_method_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voxtrace.methods.offered", lambda: pytest.fail("packages were looked at"))
    assert method("unet").key == "unet"


def test_the_command_lists_a_method_and_tells_which_are_left_out(
    site: Site, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voxtrace.methods.METHODS", {"unet": METHODS["unet"]})
    site.install("vt-good", "edge", GOOD)
    site.install("vt-bad", "rim", "import no_such_module")
    site.install("vt-late", "late", GOOD.replace('"edge"', '"late"') + "    def build(self, plan): return 1 / 0\n")
    told = run("methods", "--json", "--no-figures", "--size", "16")
    assert told.code == 0
    assert {document["name"] for document in told.json["methods"]} == {"unet", "edge"}
    assert set(told.json["left_out"]) == {"rim", "late"}
    assert "ZeroDivisionError" in told.json["left_out"]["late"]
    assert "the method 'rim' of vt-bad 1.0 cannot be used" in told.err


def test_a_dataset_with_regions_is_refused_for_one_that_does_not_learn_them(site: Site, tmp_path: Path) -> None:
    site.install("vt-flat", "edge", GOOD.replace('"edge"', '"edge"\n    overlapping = False'))
    folder = nested_dataset(tmp_path / "nested")
    with pytest.raises(MethodError, match="edge cannot learn regions that overlap"):
        next(set_up(TrainRequest(folder, method="edge", out=tmp_path / "new"), lambda: False))
