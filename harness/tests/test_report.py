"""Markdown reports what a verdict found, and no more."""

from dataclasses import replace

from harness.judge import judge
from harness.report import Lane, markdown
from harness.results import Result, Run
from harness.tests.test_judge import CATALOGUED, DEAF, PASS, PATCHED, UPSTREAM


def laned(before, after, name="cpu", not_run=()):
    """Judge two runs, and return the lane as the report gets it."""
    verdict = judge(Run(before), Run(after), CATALOGUED, "cpu")
    return Lane(replace(verdict, lane=name), Run(before), Run(after), {"upstream": 1.0, "patched": 2.0}, not_run)


def test_markdown_says_whether_it_holds_and_shows_one_exception_a_bug():
    text = markdown([laned(UPSTREAM, PATCHED, not_run={"tpu": "there is none"})])
    assert text.startswith("- **The verdict holds** on `cpu`: 3 fail→pass, 1 pass→pass, 1 of them bit for bit.\n")
    row = "| [hard-of-hearing](tests/bugs.toml): It hears nothing | does wrong | `TypeError: deaf` | 2 ✗ → ✓ | [0001](patches/0001.patch) |"
    assert row in text.splitlines()
    assert text.endswith("\nNot run: tpu (there is none).\n")


def test_markdown_of_two_lanes_has_a_column_for_each():
    text = markdown([laned(UPSTREAM, PATCHED), laned(UPSTREAM, UPSTREAM, "sim")])
    assert "- **The verdict does not hold** on `sim`: 3 fail→fail, 1 pass→pass, 1 of them bit for bit." in text
    assert "| `TypeError: deaf` | 2 ✗ → ✓ | 2 ✗ → ✗ | " in text


def test_the_matrix_shows_a_pass_only_where_every_case_passed():
    form = "tests/test_transcription.py::test_audio_format_transcribes_correctly[cpu-numpy-float64-{}-float32-{}]".format
    before = {form("1d", "a-clip"): DEAF, form("1d", "b-clip"): DEAF, form("1xn", "a-clip"): PASS, form("nx1", "a-clip"): PASS}
    after = {**dict.fromkeys(before, PASS), form("nx1", "a-clip"): Result("skipped")}
    assert "| numpy float64 | ✗ → ✓ | ✓ → ✓ | ✓ → ? | ? → ? | ? → ? | ? → ? |" in markdown([laned(before, after)]).splitlines()
