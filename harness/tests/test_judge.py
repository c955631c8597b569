"""A verdict holds only if both runs are green and agree: each test closes one gap of the comparison."""

from dataclasses import replace

import pytest

from harness.catalogue import Bug, Catalogue, Reason
from harness.judge import judge
from harness.results import Result, Run


def bug(id, kind, title, patch, test):
    return Bug(id, kind, title, patch, (Reason("TypeError", "deaf", judged="it"),), (test,))


BUG = bug("hard-of-hearing", "wrong", "It hears nothing", "0001.patch", "test_a.py::test_ear[*]")
SIGHT = bug("blind", "lacks", "It sees nothing", "0002.patch", "test_a.py::test_eye")
CATALOGUED = Catalogue((BUG, SIGHT))

PASS, SAME = Result("passed"), Result("passed", digest="aa")
DEAF = Result("failed", "TypeError", "deaf", bug=BUG.id)
DARK = Result("failed", "ValueError", "it is dark", place="eye.py:see", bug=SIGHT.id)
EARS = ["tests/test_a.py::test_ear[left]", "tests/test_a.py::test_ear[right]"]
EYE, NOSE = "tests/test_a.py::test_eye", "tests/test_a.py::test_nose"

UPSTREAM = {EARS[0]: DEAF, EARS[1]: DEAF, EYE: DARK, NOSE: SAME}
PATCHED = {**dict.fromkeys(UPSTREAM, PASS), NOSE: SAME}


def problems(upstream=UPSTREAM, patched=PATCHED, catalogue=CATALOGUED, name="cpu", stack=None):
    """Judge two runs, given as runs or as their results, and return the problems."""
    runs = [given if isinstance(given, Run) else Run(given) for given in (upstream, patched)]
    verdict = judge(*runs, catalogue, name, stack)
    assert verdict.holds == (not verdict.problems)
    return list(verdict.problems)


def test_verdict_holds_if_each_bug_is_shown_and_fixed_and_the_rest_gives_the_same_bits():
    verdict = judge(Run(UPSTREAM), Run(PATCHED), CATALOGUED, "cpu")
    assert verdict.holds
    assert verdict.counts == {"fail→pass": 3, "pass→pass": 1} and verdict.same_bits == 1
    assert [(s.bug.id, len(s.tests), s.fixed) for s in verdict.shown] == [("hard-of-hearing", 2, 2), ("blind", 1, 1)]


@pytest.mark.parametrize("side", ["upstream", "patched"])
@pytest.mark.parametrize(
    ("run", "problem"),
    [(Run({NOSE: SAME}, None, "Killed"), "pytest did not finish: Killed"), (Run({}, 5), "no test ran")],
)
def test_unfinished_run_is_the_only_problem(side, run, problem):
    assert problems(**{side: run}) == [f"{side}: {problem}"]


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_each_unexpected_failure_is_a_problem(side):
    toe = "tests/test_a.py::test_toe"
    red = {NOSE: replace(DARK, bug=""), toe: Result("failed", message="worker 'gw0' crashed")}
    assert problems(**{side: Run({"upstream": UPSTREAM, "patched": PATCHED}[side] | red, 1)})[:2] == [
        f"{side}: {NOSE}: ValueError from eye.py:see: it is dark",
        f"{side}: {toe}: worker 'gw0' crashed",
    ]


@pytest.mark.parametrize("outcome", ["failed", "skipped"])
def test_bug_that_came_back_is_a_problem(outcome):
    back = {**PATCHED, EARS[1]: Result(outcome, "TypeError", "deaf")}
    assert "hard-of-hearing: not fixed on patched, 1 of its tests do not pass" in problems(patched=back)


def test_exit_status_that_the_log_does_not_explain_is_a_problem():
    assert problems(Run(UPSTREAM, 1)) == ["upstream: pytest's exit status says that a test failed, and its log does not"]


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_test_that_ran_on_one_tree_only_is_a_problem(side):
    fewer = {test: result for test, result in {"upstream": UPSTREAM, "patched": PATCHED}[side].items() if test != NOSE}
    assert problems(**{side: fewer}) == [f"{NOSE}: ran on one tree only"]


@pytest.mark.parametrize("digest", ["bb", ""])
def test_different_bits_are_a_problem(digest):
    other = {**PATCHED, NOSE: Result("passed", digest=digest)}
    assert problems(patched=other) == [f"{NOSE}: passes on both trees, with different bits"]


def test_bug_that_no_test_shows_is_a_problem_except_on_stacks_without_it():
    seen = {**UPSTREAM, EYE: PASS}
    elsewhere = Catalogue((BUG, replace(SIGHT, absent=("floor",))))
    assert problems(seen, catalogue=elsewhere, stack="pinned") == ["blind: no test shows this bug on upstream"]
    assert problems(seen, catalogue=elsewhere, stack="floor") == []


def test_lane_without_bugs_is_a_problem():
    assert problems(PATCHED, catalogue=Catalogue(()), name="tpu") == [
        "the catalogue has no bug for the lane tpu: nothing would be proved"
    ]
