"""Logs are read correctly: the phases of a test, workers that crash, runs that do not finish, and files that are cut off."""

import json

import pytest

from harness.results import Result, Run, read_run

NOSE = "tests/test_a.py::test_nose"
DEAF = {"type": "TypeError", "message": "deaf", "where": "a.py:1", "place": "ear.py:hear"}
SAID = {"digest": "ab", "transcript": "one two", "words": True}


def phase(when, outcome="passed", wasxfail="", **properties):
    expected = {"wasxfail": wasxfail} if wasxfail else {}
    words = "worker 'gw0' crashed while running it" if outcome == "failed" else None
    report = {"nodeid": NOSE, "when": when, "outcome": outcome, "longrepr": words, "duration": 0.25}
    return {"$report_type": "TestReport", "user_properties": list(properties.items()), **report, **expected}


XFAILED = phase("call", "skipped", "deaf-ear", exception=DEAF)


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


@pytest.mark.parametrize(
    ("call", "result"),
    [
        (phase("call", **SAID), Result("passed", **SAID, seconds=0.75)),
        (phase("call", "failed", exception=DEAF, transcript="one"), Result("failed", **DEAF, transcript="one", seconds=0.5)),
        (XFAILED, Result("failed", **DEAF, bug="deaf-ear", seconds=0.5)),
    ],
    ids=["passed", "failed", "xfailed"],
)
def test_phases_of_a_test_are_one_result(read, call, result):
    kept = SAID if result.outcome == "passed" else {}
    assert read(phase("setup"), call, phase("teardown", **kept)) == Run({NOSE: result})


@pytest.mark.parametrize(
    "phases",
    [[phase("setup", "failed")], [phase("???", "failed")], [XFAILED, phase("teardown", "failed")]],
    ids=["set-up", "killed-worker", "tear-down"],
)
def test_failure_outside_the_body_of_a_test_is_for_no_bug(read, phases):
    result = read(*phases, status=1).results[NOSE]
    assert (result.outcome, result.bug, result.message) == ("failed", "", "worker 'gw0' crashed while running it")


@pytest.mark.parametrize("outcome", ["failed", "rerun"])
def test_test_that_passes_when_it_runs_again_still_failed(read, outcome):
    assert read(phase("call", outcome), phase("call")).results[NOSE].outcome == "failed"


def test_file_that_cannot_be_collected_is_a_failure_of_an_unfinished_run(read):
    report = {"$report_type": "CollectReport", "nodeid": "tests/test_b.py", "outcome": "failed", "longrepr": "no numpy"}
    run = read(report, status=2)
    assert run == Run({"tests/test_b.py": Result("failed", "CollectError", "no numpy")}, 2, "MemoryError")
    assert not run.finished


@pytest.mark.parametrize("how", [{"status": None}, {"status": 3}, {"cut": 20}])
def test_unfinished_run_has_its_last_line(read, how):
    run = read(phase("call"), **how)
    assert (run.results.keys(), run.finished, run.last) == ({NOSE}, False, "MemoryError")


def test_missing_log_is_an_unfinished_run(tmp_path):
    assert read_run(tmp_path / "none") == Run({}, None)
