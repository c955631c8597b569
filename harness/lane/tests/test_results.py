"""Logs are read correctly: the phases of a test, workers that crash, runs that do not finish, and files that are cut off."""

import json

import pytest

from harness.lane.results import Result, Run, read_run

NOSE = "tests/test_a.py::test_nose"
DEAF = {"type": "TypeError", "message": "deaf", "where": "a.py:1", "place": "ear.py:hear"}


def phase(when, outcome="passed", wasxfail="", **properties):
    expected = {"wasxfail": wasxfail} if wasxfail else {}
    words = "worker 'gw0' crashed while running it" if outcome == "failed" else None
    report = {"nodeid": NOSE, "when": when, "outcome": outcome, "longrepr": words, "duration": 0.25}
    return {"$report_type": "TestReport", "user_properties": list(properties.items()), **report, **expected}


@pytest.fixture
def read(tmp_path):
    """Return a function that writes a log and reads it."""

    def read(*reports, status=0, cut=0):
        end = [] if status is None else [{"$report_type": "SessionFinish", "exitstatus": status}]
        text = "".join(f"{json.dumps(report)}\n" for report in (*reports, *end))
        (tmp_path / "log").write_text(text[: len(text) - cut])
        (tmp_path / "said").write_text("collecting\nMemoryError\n\n")
        return read_run(tmp_path / "log", tmp_path / "said")

    return read


def test_the_phases_of_a_test_are_read_as_one(read):
    said = {"digest": "ab", "transcript": "one two", "words": True}
    passed = Result("passed", digest="ab", transcript="one two", words=True, seconds=0.75)
    assert read(phase("setup"), phase("call", **said), phase("teardown", **said)) == Run({NOSE: passed})


def test_a_failure_keeps_its_exception_and_its_transcript(read):
    run = read(phase("setup"), phase("call", "failed", exception=DEAF, transcript="one"), phase("teardown"), status=1)
    assert run == Run({NOSE: Result("failed", **DEAF, transcript="one", seconds=0.5)}, 1)


def test_what_failed_as_it_should_has_its_bug(read):
    run = read(phase("setup"), phase("call", "skipped", "deaf-ear", exception=DEAF), phase("teardown"))
    assert run == Run({NOSE: Result("failed", **DEAF, bug="deaf-ear", seconds=0.5)})


@pytest.mark.parametrize(
    "phases",
    [
        [phase("setup", "failed")],
        [phase("setup"), phase("???", "failed")],
        [phase("setup"), phase("call", "skipped", "deaf-ear", exception=DEAF), phase("teardown", "failed")],
    ],
    ids=["set-up", "killed-worker", "tear-down"],
)
def test_a_failure_outside_the_body_of_a_test_is_for_no_bug(read, phases):
    result = read(*phases, status=1).results[NOSE]
    assert (result.outcome, result.bug, result.message) == ("failed", "", "worker 'gw0' crashed while running it")


@pytest.mark.parametrize("outcome", ["failed", "rerun"])
def test_a_test_that_passes_when_it_runs_again_still_failed(read, outcome):
    assert read(phase("call", outcome), phase("call")).results[NOSE].outcome == "failed"


def test_a_file_that_cannot_be_collected_is_a_failure_and_no_finished_run(read):
    report = {"$report_type": "CollectReport", "nodeid": "tests/test_b.py", "outcome": "failed", "longrepr": "no numpy"}
    run = read(report, status=2)
    assert run == Run({"tests/test_b.py": Result("failed", "CollectError", "no numpy")}, 2, "MemoryError")
    assert not run.finished


@pytest.mark.parametrize("how", [{"status": None}, {"status": 3}, {"cut": 20}])
def test_a_run_that_did_not_finish_says_its_last_line(read, how):
    # A log that a full disk cut off was once a traceback.
    run = read(phase("call"), **how)
    assert (run.results.keys(), run.finished, run.last) == ({NOSE}, False, "MemoryError")


def test_a_log_that_is_not_there_is_no_finished_run(tmp_path):
    assert read_run(tmp_path / "none") == Run({}, None)
