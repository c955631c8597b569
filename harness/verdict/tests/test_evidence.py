"""Committed evidence is shown with its date and host, goes stale with the series, and is never a pass."""

import json
import shutil

import pytest

from harness import PATCHES, HarnessError
from harness.lane import devices
from harness.suite.catalogue import Bug, Catalogue, Reason
from harness.verdict import census, evidence
from harness.verdict.evidence import FIELDS, OPTIONAL, cite, read_record, write
from harness.world import STALE, digest, series_sha256

HOST = {"system": "Darwin", "machine": "arm64", "device": "Apple M3 [Pro]", "python": "3.12.1"}
RECORD = {
    "holds": True,
    "lane": "mps",
    "date": "2026-02-03",
    "problems": [],
    "counts": {"fail→pass": 2, "pass→pass": 1},
    "same bits": 1,
    "bugs": [{"id": "deaf", "title": "It hears nothing", "shown": ["test_a", "test_b"], "fixed": 2, "example": "TypeError"}],
    "host": HOST,
    "packages": {"torch": "2.14.1"},
    "release": {"version": "1.3.0", "sha256": "ffa7"},
    "trees": {"upstream": "aa", "patched": "bb"},
    "series": ["0001.patch"],
    "series sha256": series_sha256(),
    "digest": digest(),
    "options": ["--checkpoint", "/home/someone/checkpoint"],
    "seconds": {"upstream": 1.0, "patched": 2.0},
}
NOT_RUN = {"cuda": "needs an NVIDIA or AMD GPU with its driver", "mps": "needs macOS on Apple silicon"}


def few_tests(monkeypatch):
    """Make the catalogue and the census match the record."""
    lanes = ("cpu", "sim", "mps", "xla")
    bug = Bug("deaf", "wrong", "It hears nothing", "0001.patch", lanes, (Reason("TypeError", "", judged="it"),), ("test_*",))
    monkeypatch.setattr(evidence, "read_catalogue", lambda file: Catalogue((bug,)))
    monkeypatch.setattr(census, "totals", lambda lane, device: {"fail→pass": 2, "pass→pass": 1})
    monkeypatch.setattr(census, "same_bits", lambda lane, device: 1)


@pytest.fixture(autouse=True)
def few(monkeypatch):
    few_tests(monkeypatch)


@pytest.fixture
def written(tmp_path):
    """Return a function that writes a record as a lane's verdict.json, and its evidence to a folder."""

    def write_it(**changes):
        verdict = tmp_path / "verdict.json"
        verdict.write_text(json.dumps(RECORD | changes))
        return write(verdict, tmp_path / "evidence")

    return write_it


def test_it_comes_back_as_it_was_written_without_what_is_private_or_long(written):
    file = written()
    assert file.name == "mps-darwin-arm64-apple-m3-pro.json"
    kept = {name: value for name, value in RECORD.items() if name in (*FIELDS, *OPTIONAL)}
    assert read_record(file) == kept | {"bugs": [{"id": "deaf", "shown": 2, "fixed": 2}]}
    assert "someone" not in file.read_text()


def test_it_replaces_what_a_host_of_the_same_kind_gave_before(written):
    assert written(date="2026-01-01") == written()
    assert read_record(written())["date"] == "2026-02-03"


def test_it_is_shown_with_date_and_host_and_the_lane_still_did_not_run(written):
    said = cite(NOT_RUN, written().parent)
    assert said["cuda"] == NOT_RUN["cuda"]
    assert (
        said["mps"]
        == f"{NOT_RUN['mps']}; committed evidence: held on 2026-02-03 on Apple M3 [Pro], Darwin arm64, with the stack own"
    )


def test_what_did_not_hold_there_is_shown_as_such(written):
    assert "committed evidence: did not hold on 2026-02-03" in cite(NOT_RUN, written(holds=False).parent)["mps"]


def test_each_host_is_shown_by_date(written):
    written(host=HOST | {"device": "Apple M4"}, date="2026-01-01")
    said = cite(NOT_RUN, written().parent)["mps"]
    assert said.index("2026-01-01 on Apple M4") < said.index("2026-02-03 on Apple M3")


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"counts": {}}, "it holds but counts no test"),
        # An invented record was once accepted without bugs, and with any number of tests.
        ({"bugs": []}, "it holds but its bugs are not shown by as many tests as it counts"),
        ({"counts": {"fail→pass": 3, "pass→pass": 1}}, "it holds but its bugs are not shown by as many tests as it counts"),
        ({"same bits": 2}, "it counts more tests with the same bits than pass on both packages"),
        ({"counts": {"fail→pass": 2, "pass→fail": 1}}, "it holds but counts tests that do not pass patched"),
        ({"problems": ["a test is missing"]}, "it holds but names problems"),
        ({"bugs": [{"id": "deaf", "shown": [], "fixed": 0}]}, "it holds but has a bug that is not shown or not fixed"),
        ({"bugs": [{"id": "deaf", "shown": ["a"], "fixed": 0}]}, "it holds but has a bug that is not shown or not fixed"),
    ],
)
def test_what_says_that_it_holds_against_what_it_says_besides_is_refused(written, changes, wrong):
    with pytest.raises(HarnessError, match=f"is not the record of a verdict, {wrong}"):
        written(**changes)


def test_what_was_invented_is_said(written, monkeypatch):
    monkeypatch.setattr(census, "totals", lambda lane, device: {"fail→pass": 5, "pass→pass": 1})
    said = cite(NOT_RUN, written().parent)["mps"]
    assert "; committed evidence, which does not count the tests of the census: held on 2026-02-03" in said


@pytest.mark.parametrize("change", ["edited", "renamed", "added", "removed"])
def test_it_is_stale_once_the_series_has_changed(written, tmp_path, change):
    patches = tmp_path / "patches"
    shutil.copytree(PATCHES, patches)
    folder = written().parent
    assert "; committed evidence: held" in cite(NOT_RUN, folder, patches)["mps"]
    first = min(patches.glob("*.patch"))
    match change:
        case "edited":
            first.write_bytes(first.read_bytes() + b"\n")
        case "renamed":
            first.rename(first.with_name("0000-Renamed.patch"))
        case "added":
            shutil.copy(first, first.with_name("9999-Added.patch"))
        case "removed":
            first.unlink()
    assert f"; committed evidence, {STALE}: held on 2026-02-03" in cite(NOT_RUN, folder, patches)["mps"]


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is not a JSON object"),
        (json.dumps(RECORD | {"holds": "yes"}), "'holds' is missing or not a bool"),
        (json.dumps({name: value for name, value in RECORD.items() if name != "date"}), "'date' is missing or not a str"),
        (json.dumps(RECORD | {"date": "yesterday"}), "Invalid isoformat string"),
        (json.dumps(RECORD | {"bugs": [{"id": "deaf"}]}), "a part of it has the wrong form (KeyError('shown'))"),
        (json.dumps(RECORD | {"host": {}}), "'system' of its host is missing or not a str"),
    ],
)
def test_a_malformed_file_is_an_error_in_one_sentence(tmp_path, text, wrong):
    file = tmp_path / "cuda-host.json"
    file.write_text(text)
    with pytest.raises(HarnessError) as refused:
        cite(NOT_RUN, tmp_path)
    assert str(refused.value).startswith(f"{file} is not the record of a verdict, {wrong}")
    assert "\n" not in str(refused.value)


def test_no_evidence_says_nothing_more(tmp_path):
    assert cite(NOT_RUN, tmp_path / "none") == NOT_RUN


def test_what_is_committed_is_well_formed():
    cite(NOT_RUN)


def test_the_processor_has_a_name():
    assert devices.describe("cpu").strip()
