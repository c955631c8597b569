"""Committed evidence is shown with its date and host, goes stale with the files it depends on, and is never a pass."""

import json
import shutil

import pytest

from harness import PATCHES, HarnessError, census
from harness.evidence import FIELDS, cite, read_record, write
from harness.world import STALE, digest

RECORD = dict.fromkeys(FIELDS, "") | {
    "holds": True,
    "lane": "mps",
    "stack": "own",
    "date": "2026-02-03",
    "counts": {"fail→pass": 2, "pass→pass": 1},
    "same bits": 1,
    "bugs": [{"id": "deaf", "title": "It hears nothing", "shown": ["test_a", "test_b"], "fixed": 2, "example": "TypeError"}],
    "host": {"system": "Darwin", "machine": "arm64", "device": "Apple M3 [Pro]", "python": "3.12.1"},
    "digest": digest("own"),
    "options": ["--checkpoint", "/home/someone/checkpoint"],
}
NOT_RUN = {"cuda": "needs a GPU", "mps": "needs a Mac"}
CITED = "on 2026-02-03 on Apple M3 [Pro], Darwin arm64, with the stack own"


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return a function that writes the evidence of a record to a folder, with a census that agrees with it."""
    monkeypatch.setattr(census, "totals", lambda device, lane: {"fail→pass": 2, "pass→pass": 1, "bits": 1})

    def write_it(**changes):
        verdict = tmp_path / "verdict.json"
        verdict.write_text(json.dumps(RECORD | changes))
        return write(verdict, tmp_path / "evidence")

    return write_it


def test_evidence_keeps_what_is_needed_and_nothing_private(written):
    file = written()
    assert file.name == "mps-own-darwin-arm64-apple-m3-pro.json"
    assert read_record(file)["bugs"] == [{"id": "deaf", "shown": 2, "fixed": 2}]
    assert "someone" not in file.read_text()
    assert written(date="2026-02-04") == file


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, f"committed evidence: held {CITED}"),
        ({"holds": False}, f"committed evidence: did not hold {CITED}"),
        ({"digest": "0"}, f"committed evidence, {STALE}: held {CITED}"),
        ({"same bits": 2}, f"committed evidence, which does not count the tests of the census: held {CITED}"),
    ],
)
def test_missing_device_cites_its_evidence(written, changes, said):
    cited = cite(NOT_RUN, written(**changes).parent)
    assert cited == {"cuda": "needs a GPU", "mps": f"needs a Mac; {said}"}


def test_evidence_is_stale_once_the_series_has_changed(written, tmp_path):
    shutil.copytree(PATCHES, tmp_path / "patches")
    (tmp_path / "patches" / "9999-Added.patch").touch()
    assert STALE in cite(NOT_RUN, written().parent, tmp_path / "patches")["mps"]


@pytest.mark.parametrize("text", ["{", "[]", "1", json.dumps({name: 1 for name in FIELDS if name != "date"})])
def test_malformed_file_is_an_error_in_one_sentence(tmp_path, text):
    (tmp_path / "cuda-host.json").write_text(text)
    with pytest.raises(HarnessError, match=r"cuda-host\.json is not the record of a verdict, [^\n]+: delete it or create it"):
        cite(NOT_RUN, tmp_path)


def test_committed_evidence_is_well_formed():
    cite(NOT_RUN)
