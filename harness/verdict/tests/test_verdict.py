"""A verdict holds only if everything is right: each test closes one gap that a comparison may have."""

from dataclasses import replace

import pytest

from harness.lane import warm
from harness.lane.results import Result, Run
from harness.lane.run import environment, run_suite
from harness.verdict.catalogue import Bug, Catalogue, Reason
from harness.verdict.judge import judge, surprise

BUG = Bug(
    "hard-of-hearing",
    "wrong",
    "It hears nothing",
    "0001.patch",
    ("cpu",),
    (Reason("TypeError", "^deaf$", judged="what it hears"),),
    ("test_a.py::test_ear[*]",),
)
SIGHT = Bug(
    "blind",
    "lacks",
    "It sees nothing",
    "0002.patch",
    ("cpu",),
    (Reason("ValueError", "dark", ("eye.py:see",)),),
    ("test_a.py::test_eye",),
)
CATALOGUED = Catalogue((BUG, SIGHT), skips=("no second ear here",))

PASS, DEAF, DARK = (
    Result("passed"),
    Result("failed", "TypeError", "deaf"),
    Result("failed", "ValueError", "it is dark", place="eye.py:see"),
)
EARS = ["tests/test_a.py::test_ear[left]", "tests/test_a.py::test_ear[right]"]
EYE, NOSE = "tests/test_a.py::test_eye", "tests/test_a.py::test_nose"

UPSTREAM = {EARS[0]: DEAF, EARS[1]: DEAF, EYE: DARK, NOSE: PASS}
PATCHED = dict.fromkeys(UPSTREAM, PASS)


def run(results, **changes):
    """Make a run in which every collected test has a result."""
    return replace(Run(results, frozenset(results)), **changes)


def problems(upstream=UPSTREAM, patched=PATCHED, catalogue=CATALOGUED, name="cpu"):
    """Judge two runs, given as runs or as their results, and return the problems."""
    runs = [given if isinstance(given, Run) else run(given) for given in (upstream, patched)]
    verdict = judge(*runs, catalogue, name)
    assert verdict.holds == (not verdict.problems)
    return "\n".join(verdict.problems)


def test_it_holds_when_each_bug_is_shown_and_fixed_and_nothing_else_changed():
    verdict = judge(run(UPSTREAM), run(PATCHED), CATALOGUED, "cpu")
    assert verdict.holds
    assert verdict.counts == {"fail→pass": 3, "pass→pass": 1}
    assert [(s.bug.id, len(s.tests), s.fixed) for s in verdict.shown] == [("hard-of-hearing", 2, 2), ("blind", 1, 1)]


def test_a_bug_that_comes_back_is_named_with_its_patch():
    assert "hard-of-hearing: not fixed on patched, 1 of its tests" in problems(patched={**PATCHED, EARS[1]: DEAF})


def test_a_skipped_fail_to_pass_test_does_not_count_as_fixed_even_for_a_listed_reason():
    skipped = Result("skipped", message="no second ear here")
    assert "hard-of-hearing: not fixed" in problems(patched={**PATCHED, EARS[1]: skipped})
    assert "skipped on upstream, should fail" in problems(upstream={**UPSTREAM, EARS[1]: skipped})


def test_a_skip_needs_a_listed_reason():
    listed, unlisted = Result("skipped", message="Skipped: no second ear here"), Result("skipped", message="not today")
    assert problems({**UPSTREAM, NOSE: listed}, {**PATCHED, NOSE: listed}) == ""
    assert "skipped for no listed reason: not today" in problems({**UPSTREAM, NOSE: unlisted}, {**PATCHED, NOSE: unlisted})


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_an_empty_run_is_no_evidence(side):
    assert problems(**{side: Run({}, frozenset())}) == f"{side}: no test ran"


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_a_run_that_did_not_finish_is_no_evidence(side):
    results = {"upstream": UPSTREAM, "patched": PATCHED}[side]
    assert f"{side}: pytest did not finish" in problems(**{side: run(results, finished=False)})


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_a_run_that_died_is_one_problem_and_says_where(side):
    died = Run({}, frozenset(UPSTREAM), finished=False, begun=frozenset({NOSE}))
    words = f"{side}: pytest did not finish, and stopped in {NOSE}: {len(UPSTREAM)} tests have no result"
    assert problems(**{side: died}) == words
    # It died later: a bug whose tests did not run is not reported as missing.
    assert problems(**{side: replace(died, results={EYE: {"upstream": DARK, "patched": PASS}[side]})}).count("\n") == 0


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_a_test_in_which_a_worker_of_xdist_died_is_told_by_its_words(side):
    results = {"upstream": UPSTREAM, "patched": PATCHED}[side] | {NOSE: Result("error", message="worker 'gw0' crashed")}
    assert f"{side}: {NOSE} broke outside its body: worker 'gw0' crashed\n" in problems(**{side: run(results)}) + "\n"
    assert surprise(NOSE, results[NOSE], (), CATALOGUED) == "error with worker 'gw0' crashed"


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_a_case_that_was_collected_and_never_ran_is_missed(side):
    results = dict({"upstream": UPSTREAM, "patched": PATCHED}[side])
    del results[NOSE]
    missing = Run(results, frozenset(UPSTREAM))
    assert f"{side}: {NOSE} was collected but has no result" in problems(**{side: missing})


def test_a_case_that_only_one_tree_collects_is_missed():
    fewer = {test: result for test, result in PATCHED.items() if test != NOSE}
    assert f"{NOSE}: collected on one tree only" in problems(patched=fewer)


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_an_error_outside_a_tests_body_is_not_a_failure_for_a_reason(side):
    results = {"upstream": UPSTREAM, "patched": PATCHED}[side]
    broken = {**results, EARS[0]: Result("error", "TypeError", "deaf")}
    assert f"{side}: {EARS[0]} broke outside its body" in problems(**{side: broken})


@pytest.mark.parametrize("wrong", [Result("failed", "TypeError", "deafening"), Result("failed", "OSError", "deaf")])
def test_a_bug_shows_by_its_own_exception_type_and_message(wrong):
    assert "which is not the reason for hard-of-hearing" in problems(upstream={**UPSTREAM, EARS[0]: wrong})


def test_a_bug_that_no_test_shows_is_reported():
    ghost = replace(BUG, id="ghost", tests=("test_a.py::test_nothing",))
    assert "ghost: no test shows this bug" in problems(catalogue=Catalogue((BUG, SIGHT, ghost)))


def test_a_failure_that_no_bug_names_is_reported():
    assert f"{NOSE}: fails on upstream for an unlisted reason, TypeError from the test itself: deaf" in problems(
        upstream={**UPSTREAM, NOSE: DEAF}
    )


def test_a_catalogued_test_that_passes_on_upstream_is_reported():
    assert "passed on upstream, should fail for hard-of-hearing" in problems(upstream={**UPSTREAM, EARS[0]: PASS})


def test_a_regression_is_reported():
    assert f"{NOSE}: passed on upstream, fails on patched" in problems(patched={**PATCHED, NOSE: DARK})


def test_a_test_that_two_bugs_name_is_reported():
    twin = replace(BUG, id="twin")
    assert "named by several bugs: hard-of-hearing, blind, twin" not in problems(catalogue=Catalogue((BUG, SIGHT, twin)))
    assert "named by several bugs: hard-of-hearing, twin" in problems(catalogue=Catalogue((BUG, SIGHT, twin)))


def test_different_bits_on_the_two_trees_are_reported():
    one, other = Result("passed", digest="aa"), Result("passed", digest="bb")
    assert problems({**UPSTREAM, NOSE: one}, {**PATCHED, NOSE: one}) == ""
    assert "passes on both trees, with different bits" in problems({**UPSTREAM, NOSE: one}, {**PATCHED, NOSE: other})


def test_a_lane_without_bugs_proves_nothing():
    assert "no bug for the lane tpu" in problems(upstream=PATCHED, name="tpu")


@pytest.mark.parametrize(("red", "said"), [(True, "a test failed"), (False, "no test failed")])
def test_an_exit_status_that_its_results_do_not_explain_is_a_problem(red, said):
    results = PATCHED if red else UPSTREAM
    verdict = judge(run(results, red=red), run(PATCHED), CATALOGUED, "cpu")
    assert f"upstream: pytest's exit status says that {said}, but its results differ" in verdict.problems


@pytest.mark.parametrize("place", ["", "eye.py:blink", "processor.py:see"])
def test_the_same_exception_from_another_place_is_no_reason(place):
    # Otherwise a bare assert of the tests would count as one of the package.
    elsewhere = {**UPSTREAM, EYE: replace(DARK, place=place)}
    words = f"{EYE}: fails on upstream with ValueError from {place or 'the test itself'}: it is dark, which is not the reason"
    assert words in problems(upstream=elsewhere)


ASKED = """\
import torch


class Odd:
    shape = (1, 2)

    def to(self, **names):
        assert not names, ""


def test_reaches_an_assert_of_its_own(liquid_audio, processor):
    liquid_audio.ChatState(processor).add_audio(Odd(), 16_000)


def test_reaches_an_assert_of_the_package(liquid_audio, processor):
    liquid_audio.ChatState(processor).add_audio(torch.zeros(2), 16_000)
"""


def test_what_an_object_of_a_test_raises_does_not_come_from_the_package(tmp_path):
    # An assert in the tests that the package reached was once mistaken for the package's own.
    test = tmp_path / "test_odd.py"
    test.write_text(ASKED)
    with warm.python("cpu", environment("cpu")) as python:
        found, _ = run_suite("upstream", "cpu", tmp_path, "-p", "conftest", python=python, tests=[str(test)], workers=0)
    assert [(result.type, result.place) for result in found.results.values()] == [
        ("AssertionError", ""),
        ("AssertionError", "processor.py:add_audio"),
    ]


def test_what_a_test_judges_is_no_exception_of_the_package():
    assert "which is not the reason" in problems(upstream={**UPSTREAM, EARS[0]: replace(DEAF, place="ear.py:hear")})


def test_a_bug_does_not_show_on_every_stack():
    elsewhere = Catalogue((replace(BUG, not_on=("floor",)), SIGHT))
    passes = {**UPSTREAM, EARS[0]: PASS, EARS[1]: PASS}
    assert judge(run(passes), run(PATCHED), elsewhere, "cpu", "floor").holds
    assert not judge(run(passes), run(PATCHED), elsewhere, "cpu", "pinned").holds
    assert not judge(run(UPSTREAM), run(PATCHED), elsewhere, "cpu", "floor").holds
