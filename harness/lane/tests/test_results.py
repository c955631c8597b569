"""Logs are read correctly: the phases of a test, workers that crash, runs that do not finish, and files that are cut off."""

import json
import os
import subprocess
import sys

import pytest

from harness.lane.results import Result, Run, read_run

NOSE = "tests/test_a.py::test_nose"


def write_log(path, *reports, exitstatus=0):
    records = [*reports, *([{"$report_type": "SessionFinish", "exitstatus": exitstatus}] if exitstatus is not None else [])]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def phase(when, outcome="passed", **properties):
    return {
        "$report_type": "TestReport",
        "nodeid": NOSE,
        "when": when,
        "outcome": outcome,
        "longrepr": "worker 'gw0' crashed while running it",
        "user_properties": list(properties.items()),
        "duration": 0.25,
    }


@pytest.fixture
def collected(tmp_path):
    path = tmp_path / "collected.json"
    path.write_text(json.dumps([NOSE]))
    return path


def test_the_phases_of_a_test_are_read_as_one(tmp_path, collected):
    log = write_log(tmp_path / "log", phase("setup"), phase("call", digest="ab"), phase("teardown", digest="ab"))
    assert read_run(log, collected) == Run({NOSE: Result("passed", digest="ab", seconds=0.75)}, frozenset([NOSE]), red=False)


def test_a_failure_keeps_its_exception_and_stays_a_failure(tmp_path, collected):
    exception = {"type": "TypeError", "message": "deaf", "where": "a.py:1"}
    log = write_log(
        tmp_path / "log", phase("setup"), phase("call", "failed", exception=exception), phase("teardown"), exitstatus=1
    )
    result = read_run(log, collected).results[NOSE]
    assert (result.outcome, result.type, result.message, result.where) == ("failed", "TypeError", "deaf", "a.py:1")


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_the_transcript_is_kept_whether_it_is_right_or_wrong(tmp_path, collected, outcome):
    exception = {"type": "AssertionError", "message": "", "where": "a.py:1"} if outcome == "failed" else {}
    properties = {"transcript": "one two", **({"exception": exception} if exception else {})}
    log = write_log(tmp_path / "log", phase("setup"), phase("call", outcome, **properties), phase("teardown", **properties))
    assert read_run(log, collected).results[NOSE].transcript == "one two"


@pytest.mark.parametrize("when", ["setup", "teardown", "???"])
def test_a_crashed_worker_and_a_broken_fixture_are_errors(tmp_path, collected, when):
    assert read_run(write_log(tmp_path / "log", phase(when, "failed")), collected).results[NOSE].outcome == "error"


def test_a_worker_that_really_crashes_is_an_error_and_costs_no_other_result(tmp_path):
    (tmp_path / "test_crash.py").write_text("import os\ndef test_dies(): os._exit(1)\ndef test_lives(): pass\n")
    log, ids = tmp_path / "log", ["test_crash.py::test_dies", "test_crash.py::test_lives"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "1",
        "-c",
        os.devnull,
        "--rootdir",
        str(tmp_path),
        "--report-log",
        str(log),
    ]
    subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True)
    (tmp_path / "ids").write_text(json.dumps(ids))
    assert [read_run(log, tmp_path / "ids").results[id].outcome for id in ids] == ["error", "passed"]


def test_a_test_in_which_the_process_dies_has_begun_and_has_no_result(tmp_path, collected):
    run = read_run(write_log(tmp_path / "log", phase("setup"), exitstatus=None), collected)
    assert (run.results, run.begun, run.finished) == ({}, {NOSE}, False)


@pytest.mark.parametrize("exitstatus", [None, 2, 3, 4, 5])
def test_only_exit_codes_0_and_1_are_a_finished_run(tmp_path, collected, exitstatus):
    assert not read_run(write_log(tmp_path / "log", phase("call"), exitstatus=exitstatus), collected).finished


@pytest.mark.parametrize("cut", ["log", "collected.json"])
def test_what_a_full_disk_cut_off_is_no_finished_run(tmp_path, collected, cut):
    # This once ended in a traceback.
    log = write_log(tmp_path / "log", phase("call"), phase("teardown"))
    assert read_run(log, collected).finished
    file = tmp_path / cut
    file.write_text(file.read_text()[:-20])
    assert not read_run(log, collected).finished


@pytest.mark.parametrize("kind", ["SubtestReport", "SubTestReport"])
def test_a_subtest_that_fails_is_a_failure_of_its_test(tmp_path, collected, kind):
    # pytest exits with 1, but the report of the test itself says that it passed.
    part = {**phase("call", "failed", exception={"type": "E", "message": "m", "where": "w"}), "$report_type": kind}
    run = read_run(write_log(tmp_path / "log", part, phase("call"), exitstatus=1), collected)
    assert run.results[NOSE].outcome == "failed"


def test_a_log_that_is_not_there_is_an_empty_run(tmp_path):
    assert read_run(tmp_path / "none", tmp_path / "none") == Run({}, frozenset(), finished=False)
