"""Text headers and JSON of any content are read, or refused in our words."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from fuzz_mutations import NUMBERS, VALUES, WORDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxtrace.batch.ledger import Entry, Ledger
from voxtrace.errors import PlanError, VoxTraceError
from voxtrace.fit import check_record
from voxtrace.io.text_formats import open_text_image
from voxtrace.plan import Plan
from voxtrace.safe_text import parse_json
from voxtrace.trace.edits import from_json

TOKENS = st.sampled_from([word for word in (*NUMBERS, *WORDS) if len(word) < 1000])
NUMBER_TEXTS = st.one_of(TOKENS, st.integers().map(str), st.floats().map(str))
VALUE = st.one_of(st.lists(NUMBER_TEXTS, max_size=13).map(" ".join), st.text(max_size=40), TOKENS)
NRRD_NAMES = ("type", "dimension", "sizes", "space", "space dimension", "space directions", "space origin", "kinds")
NRRD_FIELDS = (*NRRD_NAMES, "endian", "encoding", "spacings", "thicknesses", "axis mins", "byte skip", "data file")
META_NAMES = (
    "NDims",
    "DimSize",
    "ElementType",
    "ElementSpacing",
    "Offset",
    "Position",
    "TransformMatrix",
    "HeaderSize",
)
META_FIELDS = (*META_NAMES, "CompressedData", "CompressedDataSize", "ElementNumberOfChannels", "BinaryData")
REPEATED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = st.sampled_from([value for value in VALUES if not isinstance(value, str | list) or len(value) < 1000])
ANYTHING = st.recursive(
    st.one_of(SMALL, st.integers(), st.floats(), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)
PLAN = json.loads(Plan.example(labels=3).model_dump_json())


def changed(right: Any) -> st.SearchStrategy[Any]:
    """Return documents like a right one, in which any value may be any other."""
    if isinstance(right, dict):
        return st.fixed_dictionaries({k: st.one_of(changed(v), ANYTHING) for k, v in right.items()})
    return st.one_of(st.just(right), ANYTHING)


@REPEATED
@given(fields=st.dictionaries(st.sampled_from(NRRD_FIELDS), VALUE, max_size=8), tail=st.binary(max_size=64))
def test_any_nrrd_header_is_read_or_refused(tmp_path: Path, fields: dict[str, str], tail: bytes) -> None:
    right = {"type": "short", "dimension": "3", "sizes": "2 3 4", "encoding": "raw", "endian": "little"}
    text = "NRRD0005\n" + "".join(f"{name}: {value}\n" for name, value in (right | fields).items()) + "\n"
    (tmp_path / "a.nrrd").write_bytes(text.encode("utf-8", "surrogatepass") + tail)
    with contextlib.suppress(VoxTraceError):
        open_text_image(tmp_path / "a.nrrd")


@REPEATED
@given(fields=st.dictionaries(st.sampled_from(META_FIELDS), VALUE, max_size=8), tail=st.binary(max_size=64))
def test_any_metaimage_header_is_read_or_refused(tmp_path: Path, fields: dict[str, str], tail: bytes) -> None:
    right = {"ObjectType": "Image", "NDims": "3", "DimSize": "2 3 4", "ElementType": "MET_SHORT"}
    text = "".join(f"{name} = {value}\n" for name, value in (right | fields).items()) + "ElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(text.encode("utf-8", "surrogatepass") + tail)
    with contextlib.suppress(VoxTraceError):
        open_text_image(tmp_path / "a.mha")


@REPEATED
@given(value=ANYTHING)
def test_any_json_is_a_value_or_a_value_error(value: Any) -> None:
    with contextlib.suppress(ValueError):
        found = parse_json(json.dumps(value))
        assert json.loads(json.dumps(found, allow_nan=False)) == found


@REPEATED
@given(document=changed(PLAN))
def test_any_plan_is_within_bounds_or_refused(document: Any) -> None:
    try:
        plan = Plan.model_validate(document)
    except PlanError:
        return
    assert 1e-3 <= min(plan.spacing_mm) <= max(plan.spacing_mm) <= 1e3
    assert plan.window[0] * plan.window[1] * plan.window[2] <= 1 << 24


@REPEATED
@given(document=changed({**vars(Entry("a", "done")), "volumes_ml": {"liver": 1.0}, "fit": {"verdict": "fits"}}))
def test_any_line_of_a_ledger_is_an_entry_or_passed_over(tmp_path: Path, document: Any) -> None:
    (tmp_path / "ledger.jsonl").write_text(json.dumps(document) + "\n")
    for entry in Ledger(tmp_path).entries():
        assert isinstance(entry.case, str)
        assert entry.same_settings(entry)
    Ledger(tmp_path).summary()


@REPEATED
@given(document=changed({"time": "", "what": "paint", "label": 1, "name": "", "voxels": 1, "station": ""}))
def test_any_edit_is_one_or_a_value_error(document: Any) -> None:
    with contextlib.suppress(ValueError, TypeError):
        [edit] = from_json([document])
        assert isinstance(edit.sentence, str)


def test_a_record_of_a_bundle_with_a_list_for_a_name_is_refused() -> None:
    with pytest.raises(VoxTraceError, match="name"):
        check_record({"name": []}, "bundle.json")
