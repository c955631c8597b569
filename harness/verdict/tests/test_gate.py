"""The gate opens only when every lane on its list reported, about this series, that its verdict holds."""

import json
import os
import subprocess
import sys

import pytest

from harness import ROOT
from harness.verdict import census
from harness.verdict.catalogue import CATALOGUE, read_catalogue
from harness.verdict.gate import check
from harness.verdict.tests.test_evidence import HOST, RECORD, few_tests
from harness.world import STALE

TOTALS = census.totals("cpu", "cpu")
CPU, SIM, MPS = "verdict-linux/cpu", "verdict-linux/sim", "mps-mac/mps"


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Make the catalogue and the census match the records of this module."""
    few_tests(monkeypatch)


@pytest.fixture
def report(tmp_path):
    """Return a function that writes a lane's report."""

    def write_it(where, **changes):
        folder = tmp_path / where
        folder.mkdir(parents=True)
        (folder / "verdict.json").write_text(json.dumps(RECORD | {"lane": folder.name, "options": []} | changes))

    return write_it


def test_it_opens_when_every_lane_holds(tmp_path, report, capsys):
    report(CPU)
    report(SIM)
    assert check(tmp_path, [CPU, SIM], jobs={"lanes": "success"}) == []
    assert f"| {CPU} | ✓ holds: 2 fail→pass, 1 pass→pass |" in capsys.readouterr().out


def test_a_lane_that_did_not_report_shuts_it(tmp_path, report, capsys):
    report(CPU)
    assert check(tmp_path, [CPU, SIM]) == [f"{SIM}: did not report"]
    assert f"| {SIM} | ✗ did not report |" in capsys.readouterr().out


def test_a_verdict_that_does_not_hold_shuts_it(tmp_path, report):
    report(CPU, holds=False)
    assert check(tmp_path, [CPU]) == [f"{CPU}: does not hold: 2 fail→pass, 1 pass→pass"]


def test_a_stale_report_shuts_it(tmp_path, report):
    report(CPU, digest="0" * 64)
    assert check(tmp_path, [CPU]) == [f"{CPU}: {STALE}"]


LINUX = {"system": "Linux", "machine": "x86_64", "device": "a CPU", "python": "3.12.1"}


@pytest.mark.parametrize(
    ("lane", "changes", "wrong"),
    [
        ("verdict-ubuntu-24.04-py3.12/cpu", {"lane": "sim"}, "it is for sim"),
        ("suite(floor)-ubuntu-24.04-py3.12/cpu-floor", {"lane": "cpu"}, "it is for cpu"),
        ("verdict-ubuntu-24.04-py3.12/cpu", {"options": ["--checkpoint", "/x"]}, "it is for real-cpu"),
        ("verdict-ubuntu-24.04-py3.14/cpu", {}, "it ran on Python 3.12.1"),
        ("verdict-macos-15-py3.12/cpu", {}, "it ran on Linux, not macos"),
        ("verdict-ubuntu-24.04-arm-py3.12/cpu", {}, "it ran on x86_64"),
        ("verdict-ubuntu-24.04-py3.12/cpu", {"host": HOST}, "it ran on Darwin, not ubuntu"),
    ],
)
def test_the_record_of_another_lane_shuts_it(tmp_path, report, lane, changes, wrong):
    report("verdict-ubuntu-24.04-py3.12/sim", host=LINUX)
    assert check(tmp_path, ["verdict-ubuntu-24.04-py3.12/sim"]) == []
    report(lane, **{"host": LINUX} | changes)
    assert f"{lane}: is the record of another lane: {wrong}" in check(tmp_path, [lane])


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"bugs": [{"id": "blind", "shown": ["test_a", "test_b"], "fixed": 2}]}, "does not name the bugs of the catalogue"),
        ({"counts": {"fail→pass": 2, "pass→pass": 9}}, "does not count the tests of the census"),
    ],
)
def test_an_invented_report_shuts_it(tmp_path, report, changes, wrong):
    report(CPU, **changes)
    assert check(tmp_path, [CPU]) == [f"{CPU}: {wrong}"]


def test_a_report_that_cannot_be_read_shuts_it(tmp_path, report):
    report(CPU, holds=1)
    (problem,) = check(tmp_path, [CPU])
    assert problem.startswith(f"{CPU}: ") and "'holds' is missing or not a bool" in problem


@pytest.mark.parametrize("result", ["failure", "cancelled", "skipped", ""])
def test_a_job_that_did_not_succeed_shuts_it_whatever_was_reported(tmp_path, report, result):
    report(CPU)
    assert check(tmp_path, [CPU], jobs={"lint": result, "lanes": "success"}) == [f"the job lint ended as {result}"]


def test_a_report_that_nobody_requires_shuts_it(tmp_path, report):
    report(CPU)
    report(SIM)
    assert check(tmp_path, [CPU]) == [f"{SIM}: reported, but not on the gate's list"]


@pytest.mark.parametrize("holds", [True, False, None])
def test_an_optional_lane_is_shown_and_never_counts(tmp_path, report, capsys, holds):
    report(CPU)
    if holds is not None:
        report(MPS, holds=holds)
    assert check(tmp_path, [CPU], [MPS]) == []
    words = {
        True: "holds: 2 fail→pass, 1 pass→pass",
        False: "does not hold: 2 fail→pass, 1 pass→pass",
        None: "did not report",
    }[holds]
    assert f"| {MPS}, not required | {words} |" in capsys.readouterr().out


@pytest.mark.parametrize(("result", "status"), [("success", 0), ("skipped", 1)])
def test_the_command_needs_the_standard_library_alone(tmp_path, report, result, status):
    ids = [bug.id for bug in read_catalogue(CATALOGUE).bugs if "cpu" in bug.lanes]
    shown = dict.fromkeys(ids, 1) | {ids[0]: TOTALS["fail→pass"] - len(ids) + 1}
    report(CPU, counts=TOTALS, bugs=[{"id": id, "shown": n, "fixed": n} for id, n in shown.items()])
    command = [sys.executable, "-S", "-m", "harness", "gate", str(tmp_path), "--require", CPU]
    command += ["--jobs", json.dumps({"lanes": {"result": result, "outputs": {}}})]
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert ("the job lanes ended as skipped" in done.stdout) == (result == "skipped")
