"""``--anonymous-names``: nothing that is written or printed names a file."""

from __future__ import annotations

import csv
from pathlib import Path

import made
from made import Run
from voxtrace.batch.privacy import names_file


def test_no_output_names_a_file_of_an_anonymous_case(run: Run, bundle: Path, tmp_path: Path) -> None:
    scans, out = tmp_path / "Musterhaus", tmp_path / "out"
    made.scan(scans / "Erika_Mustermann.nii.gz")
    (scans / "Anton_Schmidt.nii.gz").write_bytes(b"no volume")
    words = ("predict", scans, "-m", bundle, "-o", out, "--anonymous-names", "--json")
    outcome = run(*words)
    assert outcome.code == 1
    assert [case["case"] for case in outcome.json["done"]] == ["case_0002"]
    told = [outcome.out, outcome.err, *(path.read_text() for path in (out / "ledger.jsonl", *out.rglob("*.json")))]
    names = [str(path.relative_to(out)) for path in out.rglob("*")]
    for word in ("Mustermann", "Schmidt", "Musterhaus"):
        assert not [text for text in (*told, *names) if word in text]
    table = list(csv.DictReader(names_file(out).read_text().splitlines()))
    assert {row["case"]: row["name"] for row in table} == {
        "case_0001": "Anton_Schmidt",
        "case_0002": "Erika_Mustermann",
    }
    assert names_file(out).stat().st_mode & 0o077 == 0
    # a case that is found between the others changes no name
    made.scan(scans / "Berta.nii.gz")
    again = run(*words, "--resume").json
    assert again["skipped"] == ["case_0002"]
    assert [case["case"] for case in again["done"]] == ["case_0003"]
