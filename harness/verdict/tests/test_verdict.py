"""A verdict holds for one reason, and fails for every other: each hole that a comparison can have is shut here."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import pytest

from harness import HarnessError
from harness.lane import stacks
from harness.lane.results import Result, Run, read_run
from harness.lane.run import run_suite
from harness.package import trees
from harness.package.trees import series
from harness.verdict import lane
from harness.verdict.catalogue import CATALOGUE, Bug, Catalogue, Reason, by_kind, read_catalogue
from harness.verdict.judge import judge
from harness.verdict.lane import NOTHING
from harness.verdict.report import Lane, markdown

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
    """Make a run in which everything collected has a result."""
    return replace(Run(results, frozenset(results)), **changes)


def problems(upstream=UPSTREAM, patched=PATCHED, catalogue=CATALOGUED, name="cpu"):
    """Judge two runs, given as such or by their results."""
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
    assert f"{side}: pytest did not come to its end" in problems(**{side: run(results, finished=False)})


@pytest.mark.parametrize("side", ["upstream", "patched"])
def test_a_case_that_was_collected_and_never_ran_is_missed(side):
    results = dict({"upstream": UPSTREAM, "patched": PATCHED}[side])
    del results[NOSE]
    missing = Run(results, frozenset(UPSTREAM))
    assert f"{side}: {NOSE} was collected and has no result" in problems(**{side: missing})


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
    assert "which is not the reason of hard-of-hearing" in problems(upstream={**UPSTREAM, EARS[0]: wrong})


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


def test_trees_that_are_the_same_are_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "resolve", lambda name: trees.Tree(name, tmp_path, "the same digest"))
    with pytest.raises(HarnessError, match="upstream and patched are the same tree"):
        lane.run_lane("cpu")


def test_a_device_that_this_host_lacks_is_refused_before_anything_runs():
    with pytest.raises(HarnessError, match=r"--device meta: this .* host cannot compute on it"):
        lane.run_lane("meta")


def test_an_environment_is_not_called_by_the_name_of_a_stack_with_other_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(stacks, "LOCKS", tmp_path)
    with pytest.raises(HarnessError, match=r"there is no harness/stacks/floor\.txt"):
        lane.run_lane("cpu", stack="floor")
    here = "".join(f"{name}=={version(name)} \\\n    --hash=sha256:0\n" for name in stacks.PACKAGES)
    (tmp_path / "floor.txt").write_text(here)
    stacks.require_stack("floor")
    (tmp_path / "floor.txt").write_text(here.replace("torchaudio==", "torchaudio==0."))
    with pytest.raises(HarnessError, match=r"floor\.txt has no torchaudio \d.*'suite\(floor\)'"):
        lane.run_lane("cpu", stack="floor")


def test_a_lane_without_bugs_proves_nothing():
    assert "no bug for the lane tpu" in problems(upstream=PATCHED, name="tpu")


def _log(path, *reports, exitstatus=0):
    records = [*reports, *([{"$report_type": "SessionFinish", "exitstatus": exitstatus}] if exitstatus is not None else [])]
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return path


def _phase(when, outcome="passed", **properties):
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
    log = _log(tmp_path / "log", _phase("setup"), _phase("call", digest="ab"), _phase("teardown", digest="ab"))
    assert read_run(log, collected) == Run({NOSE: Result("passed", digest="ab", seconds=0.75)}, frozenset([NOSE]), red=False)


def test_a_failure_keeps_its_exception_and_stays_a_failure(tmp_path, collected):
    exception = {"type": "TypeError", "message": "deaf", "where": "a.py:1"}
    log = _log(
        tmp_path / "log", _phase("setup"), _phase("call", "failed", exception=exception), _phase("teardown"), exitstatus=1
    )
    result = read_run(log, collected).results[NOSE]
    assert (result.outcome, result.type, result.message, result.where) == ("failed", "TypeError", "deaf", "a.py:1")


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_the_transcript_is_kept_whether_it_is_right_or_wrong(tmp_path, collected, outcome):
    exception = {"type": "AssertionError", "message": "", "where": "a.py:1"} if outcome == "failed" else {}
    properties = {"transcript": "one two", **({"exception": exception} if exception else {})}
    log = _log(tmp_path / "log", _phase("setup"), _phase("call", outcome, **properties), _phase("teardown", **properties))
    assert read_run(log, collected).results[NOSE].transcript == "one two"


@pytest.mark.parametrize("when", ["setup", "teardown", "???"])
def test_a_crashed_worker_and_a_broken_fixture_are_errors(tmp_path, collected, when):
    assert read_run(_log(tmp_path / "log", _phase(when, "failed")), collected).results[NOSE].outcome == "error"


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


@pytest.mark.parametrize("exitstatus", [None, 2, 3, 4, 5])
def test_only_exit_codes_0_and_1_are_a_finished_run(tmp_path, collected, exitstatus):
    assert not read_run(_log(tmp_path / "log", _phase("call"), exitstatus=exitstatus), collected).finished


@pytest.mark.parametrize("cut", ["log", "collected.json"])
def test_what_a_full_disk_cut_off_is_no_finished_run(tmp_path, collected, cut):
    # It was a traceback.
    log = _log(tmp_path / "log", _phase("call"), _phase("teardown"))
    assert read_run(log, collected).finished
    file = tmp_path / cut
    file.write_text(file.read_text()[:-20])
    assert not read_run(log, collected).finished


@pytest.mark.parametrize("kind", ["SubtestReport", "SubTestReport"])
def test_a_subtest_that_fails_is_a_failure_of_its_test(tmp_path, collected, kind):
    # pytest exits with 1, and the test's own report says that it passed.
    part = {**_phase("call", "failed", exception={"type": "E", "message": "m", "where": "w"}), "$report_type": kind}
    run = read_run(_log(tmp_path / "log", part, _phase("call"), exitstatus=1), collected)
    assert run.results[NOSE].outcome == "failed"


@pytest.mark.parametrize(("red", "said"), [(True, "a test failed"), (False, "no test failed")])
def test_an_exit_status_that_its_results_do_not_explain_is_a_problem(red, said):
    results = PATCHED if red else UPSTREAM
    verdict = judge(run(results, red=red), run(PATCHED), CATALOGUED, "cpu")
    assert f"upstream: pytest's exit status says that {said}, and its results say otherwise" in verdict.problems


@pytest.mark.parametrize("place", ["", "eye.py:blink", "processor.py:see"])
def test_the_same_exception_from_another_place_is_no_reason(place):
    # A bare assert of the tests would have done as well as one of the package.
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
    # An assert of the tests, to which the package was led, was taken for the package's own.
    test = tmp_path / "test_odd.py"
    test.write_text(ASKED)
    found, _ = run_suite("upstream", "cpu", tmp_path, "--numprocesses", "0", "-p", "conftest", tests=[str(test)])
    assert [(result.type, result.place) for result in found.results.values()] == [
        ("AssertionError", ""),
        ("AssertionError", "processor.py:add_audio"),
    ]


def test_what_a_test_judges_is_no_exception_of_the_package():
    assert "which is not the reason" in problems(upstream={**UPSTREAM, EARS[0]: replace(DEAF, place="ear.py:hear")})


def test_a_log_that_is_not_there_is_an_empty_run(tmp_path):
    assert read_run(tmp_path / "none", tmp_path / "none") == Run({}, frozenset(), finished=False)


ENTRY = """\
[[bug]]
id = "a"
kind = "wrong"
title = "t"
patch = "p"
lanes = ["cpu"]
reasons = [{ type = "E", message = "", judged = "all" }]
tests = ["t"]
"""


def test_an_entry_is_of_a_kind_that_is_known(tmp_path):
    (tmp_path / "bugs.toml").write_text(ENTRY.replace("wrong", "odd"))
    with pytest.raises(HarnessError, match=r"^bugs\.toml: a is of kind 'odd', expected one of wrong, refuses, lacks$"):
        read_catalogue(tmp_path / "bugs.toml")


def test_kinds_are_counted_apart():
    assert by_kind(["wrong", "lacks", "wrong"]) == "2 bugs, 1 gap"


def test_a_bug_does_not_show_on_every_stack():
    elsewhere = Catalogue((replace(BUG, not_on=("floor",)), SIGHT))
    passes = {**UPSTREAM, EARS[0]: PASS, EARS[1]: PASS}
    assert judge(run(passes), run(PATCHED), elsewhere, "cpu", "floor").holds
    assert not judge(run(passes), run(PATCHED), elsewhere, "cpu", "pinned").holds
    assert not judge(run(UPSTREAM), run(PATCHED), elsewhere, "cpu", "floor").holds


def test_an_id_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "bugs.toml").write_text(ENTRY * 2)
    with pytest.raises(HarnessError, match="has the id a twice"):
        read_catalogue(tmp_path / "bugs.toml")


def test_every_bug_names_a_patch_of_the_series_and_every_patch_fixes_a_bug():
    assert {bug.patch for bug in read_catalogue(CATALOGUE).bugs} == {patch.name for patch in series()}


def laned(before, after, name="cpu", not_run=NOTHING):
    """Judge two runs, as a lane gives them to the report."""
    verdict = judge(run(before), run(after), CATALOGUED, "cpu")
    return Lane(replace(verdict, lane=name), run(before), run(after), {"upstream": 1.0, "patched": 2.0}, not_run)


def test_markdown_says_whether_it_holds_and_shows_one_exception_a_bug():
    text = markdown([laned(UPSTREAM, PATCHED, not_run={"tpu": "there is none"})])
    assert text.startswith("- **The verdict holds** on `cpu`: 3 fail→pass, 1 pass→pass.\n")
    row = "| [hard-of-hearing](tests/bugs.toml): It hears nothing | does wrong | `TypeError: deaf` | 2 ✗ → ✓ | [0001](patches/0001.patch) |"
    assert row in text.splitlines()
    assert text.endswith("\nNot run: tpu (there is none).\n")


def test_outputs_that_are_the_same_bit_for_bit_are_counted():
    one, none = Result("passed", digest="aa"), Result("passed")
    before, after = {NOSE: one, EYE: none, EARS[0]: DEAF}, {NOSE: one, EYE: none, EARS[0]: one}
    assert judge(run(before), run(after), CATALOGUED, "cpu").same_bits == 1
    assert ": 1 fail→pass, 2 pass→pass, 1 of them bit for bit." in markdown([laned(before, after)])


def test_markdown_of_two_lanes_has_a_column_for_each():
    text = markdown([laned(UPSTREAM, PATCHED), laned(UPSTREAM, UPSTREAM, "sim")])
    assert "- **The verdict does not hold** on `sim`: 3 fail→fail, 1 pass→pass." in text
    assert "| `TypeError: deaf` | 2 ✗ → ✓ | 2 ✗ → ✗ | " in text


def test_the_matrix_shows_a_pass_only_where_every_case_passed():
    form = "tests/test_transcription.py::test_any_form_of_audio_gives_the_same_words[cpu-float32-numpy-float64-{}-{}]".format
    before = {form("1d", "a-clip"): DEAF, form("1d", "b-clip"): DEAF, form("1xn", "a-clip"): PASS, form("nx1", "a-clip"): PASS}
    after = {**dict.fromkeys(before, PASS), form("nx1", "a-clip"): Result("skipped")}
    assert "| numpy float64 | ✗ → ✓ | ✓ → ✓ | ✓ → ? | ? → ? | ? → ? | ? → ? |" in markdown([laned(before, after)]).splitlines()


@pytest.mark.parametrize(("compiler", "lanes"), [(None, ["cpu", "sim"]), ("no C++ compiler: install one", ["cpu"])])
def test_every_lane_that_this_host_can_have_is_run_and_the_other_named(monkeypatch, tmp_path, compiler, lanes):
    asked = []

    def run(names, options, stack, absent, *, verbose):
        asked[:] = names
        others = {"cpu": {"sim": "not asked for", **absent}, "sim": {"cpu": "not asked for"}}
        return [laned(UPSTREAM, PATCHED, name, others[name]) for name in names]

    monkeypatch.setattr(lane, "OUT", tmp_path)
    monkeypatch.setattr(lane, "_run", run)
    monkeypatch.setattr(lane.devices, "lacks", lambda name: compiler)
    assert lane.run_every_lane()
    assert asked == lanes
    text = (tmp_path / "verdict.md").read_text()
    assert ("sim (no C++ compiler: install one)" in text) == (compiler is not None)
    assert "not asked for" not in text
    assert lane.run_every_lane(stack="floor")
    assert (tmp_path / "verdict-floor.md").read_text() == text
