"""A run shows its progress, its first unexpected result at once, and the end of pytest's output if pytest does not finish."""

import io
import json
import os
import re
import subprocess
import sys

import pytest
from rich.console import Console

from harness.lane.progress import Screen, complain, watch
from harness.lane.results import Reading, Result, Run
from harness.lane.tests.test_results import phase
from harness.verdict.judge import surprise
from harness.verdict.tests.test_verdict import BUG, CATALOGUED, DARK, DEAF, EARS, NOSE, PASS

LISTED = Result("skipped", message="no second ear here")


def screen(terminal):
    """Make a screen, and return it with the file that it writes to."""
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    return Screen("cpu upstream", console), console.file


def test_without_a_terminal_there_are_a_few_lines():
    shown, file = screen(terminal=False)
    with shown:
        for n in range(1, 101):
            shown.add(f"test_{n}", "")
            shown.show(100, ended=n == 100)
    lines = file.getvalue().splitlines()
    assert [line.rpartition(",")[0] for line in lines] == [
        f"cpu upstream: {n} of 100, {n} as expected, 0 unexpected" for n in (25, 50, 75, 100)
    ]


def test_the_first_surprise_is_said_at_once_and_the_others_are_counted():
    shown, file = screen(terminal=False)
    with shown:
        shown.add("tests/test_a.py::test_b[cpu]", "failed, assert [1] from the test itself: 'c'")
        assert file.getvalue() == "✗ unexpected: test_a.py::test_b[cpu]: failed, assert [1] from the test itself: 'c'\n"
        shown.add("tests/test_a.py::test_d", "failed")
        shown.add("tests/test_a.py::test_e", "")
        shown.show(3, ended=True)
    assert "3 of 3, 1 as expected, 2 unexpected" in file.getvalue()
    assert "test_d" not in file.getvalue()


def test_a_terminal_has_one_live_line():
    shown, file = screen(terminal=True)
    with shown:
        shown.add("test_a", "")
        shown.show(4)
        shown.add("test_b", "failed")
        shown.show(4, ended=True)
    last = next(line for line in reversed(re.split(r"[\r\n]+", file.getvalue())) if "unexpected" in line)
    for words in ("cpu upstream", "2/4", "1 as expected", "1 unexpected"):
        assert words in last
    assert " of 4" not in file.getvalue()


@pytest.mark.parametrize(
    ("test", "bugs", "result", "words"),
    [
        (EARS[0], (BUG,), DEAF, ""),
        (EARS[0], (), PASS, ""),
        (EARS[0], (BUG,), PASS, "passed, should fail for hard-of-hearing"),
        (EARS[0], (BUG,), DARK, "failed with ValueError from eye.py:see: it is dark, should fail for hard-of-hearing"),
        (EARS[0], (BUG,), LISTED, "skipped: no second ear here, should fail for hard-of-hearing"),
        (EARS[0], (), DEAF, "failed with TypeError from the test itself: deaf"),
        (NOSE, (BUG,), Result("error", "OSError", "disk"), "error with OSError from the test itself: disk"),
        (NOSE, (BUG,), Result("skipped", message="not today"), "skipped: not today"),
        (NOSE, (BUG,), LISTED, ""),
    ],
)
def test_what_the_catalogue_says_is_no_surprise(test, bugs, result, words):
    assert surprise(test, result, bugs, CATALOGUED) == words


TWO = """
import pathlib, time
def test_first(): assert 1 == 2
def test_second():
    for _ in range(600):
        if pathlib.Path(__file__).with_name("said").exists():
            return
        time.sleep(0.1)
    assert False, "nobody heard of the first"
"""


def run_of(tmp_path, *options):
    """Start pytest on two tests, and return the arguments of `watch`."""
    (tmp_path / "test_two.py").write_text(TWO)
    log, collected = tmp_path / "log", tmp_path / "collected"
    collected.write_text(json.dumps(["test_two.py::test_first", "test_two.py::test_second"]))
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", "--report-log", str(log), *options]
    with (tmp_path / "words").open("wb") as words:
        return subprocess.Popen(command, cwd=tmp_path, stdout=words, stderr=words), log, collected


def test_a_surprise_is_heard_of_while_the_run_goes_on(tmp_path, capsys):
    def surprising(test, result):
        (tmp_path / "said").touch()
        return result.message if result.outcome == "failed" else ""

    process, log, collected = run_of(tmp_path, "test_two.py")
    run = watch(process, log, collected, "cpu upstream", surprising)
    assert [result.outcome for result in run.results.values()] == ["failed", "passed"]
    assert run.finished and process.returncode == 1
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first.startswith("✗ unexpected: test_two.py::test_first: ")
    assert last.startswith("cpu upstream: 2 of 2, 1 as expected, 1 unexpected")


def test_what_pytest_said_is_shown_where_it_did_not_come_to_its_end(tmp_path, capsys):
    process, log, collected = run_of(tmp_path, "test_three.py")
    run = watch(process, log, collected, "cpu upstream", lambda test, result: "")
    complain(run, tmp_path / "words")
    assert "not found: " in capsys.readouterr().out
    complain(Run({"test": PASS}, frozenset({"test"})), tmp_path / "words")
    assert capsys.readouterr().out == ""


def test_a_line_that_is_being_written_is_read_when_it_is_whole(tmp_path):
    log = tmp_path / "log"
    line = json.dumps(phase("call")) + "\n" + json.dumps(phase("teardown")) + "\n"
    reading = Reading(log, tmp_path / "collected")
    assert reading.more() == []
    log.write_text(line[:-20])
    assert (reading.more(), reading.results[NOSE].outcome) == ([], "passed")
    log.write_text(line)
    assert reading.more() == [NOSE]
