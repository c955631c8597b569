"""A piece that no test needs is named, and a step that does anything but what its patch says is wrong."""

from dataclasses import replace

import pytest

from harness.lane.results import Result, Run
from harness.package import trees
from harness.verdict.catalogue import Bug, Reason
from harness.worth import necessity
from harness.worth.necessity import Finding, costs, not_needed, stairs, without
from harness.worth.pieces import Piece
from harness.worth.sample import Suite, sample
from harness.worth.trial import red

PATCHES = ("0001-Ears.patch", "0002-Eyes.patch")
BUGS = (
    Bug("deaf", "wrong", "", PATCHES[0], ("cpu",), (Reason("TypeError", "deaf", judged="it"),), ("test_a.py::test_ear[*]",)),
    Bug("blind", "wrong", "", PATCHES[1], ("cpu",), (Reason("ValueError", "dark", judged="it"),), ("test_a.py::test_eye",)),
)
EARS = [f"tests/test_a.py::test_ear[{n}]" for n in range(9)]
EYE, NOSE = "tests/test_a.py::test_eye", "tests/test_a.py::test_nose"
ALL = (*EARS, EYE, NOSE)
PASS, DEAF, DARK = Result("passed"), Result("failed", "TypeError", "deaf"), Result("failed", "ValueError", "it is dark")
PIECE = Piece(PATCHES[0], "hunk", "liquid_audio/ear.py", 3, "listen()", "", False)


def run(**results):
    """Make a run of the sample, in which all tests pass except as given."""
    tests = {"ears": EARS[0], "ears_too": EARS[-1], "eye": EYE, "nose": NOSE}
    return Run({test: results.get(name, PASS) for name, test in tests.items()}, frozenset(tests.values()))


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.setattr(trees, "series", lambda: [trees.Path(name) for name in PATCHES])
    return Suite("cpu", BUGS, ALL, (EARS[0], EARS[-1], EYE, NOSE))


STEPS = [run(ears=DEAF, ears_too=DEAF, eye=DARK), run(eye=DARK), run()]


def test_of_a_many_fold_test_the_first_and_last_are_run():
    assert sample(ALL, BUGS) == [EARS[0], EARS[-1], EYE, NOSE]
    assert sample(ALL, BUGS, whole=9) == list(ALL)


def test_the_stairs_hold_when_each_patch_fixes_its_bugs_alone(suite):
    rows, problems = stairs(suite, STEPS)
    assert problems == []
    assert rows == [["upstream", "cpu", "0", "3", "1", "0", "yes"], [PATCHES[0], "cpu", "2", "1", "1", "0", "yes"]]


@pytest.mark.parametrize(("last", "holds"), [(run(), "yes"), (run(nose=DARK), "no")], ids=["nothing-changes", "breaks"])
def test_a_last_patch_without_a_bug_on_the_lane_is_a_step_too(suite, last, holds):
    rows, _ = stairs(replace(suite, bugs=BUGS[:1]), [run(ears=DEAF, ears_too=DEAF), last, run()])
    assert [row[-1] for row in rows] == ["yes", holds]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (run(ears_too=DEAF, eye=DARK), "fails on upstream for an unlisted reason, TypeError from the test itself: deaf"),
        (run(), "passed on upstream, should fail for blind"),
        (run(eye=DEAF), "which is not the reason for blind"),
        (run(eye=DARK, nose=DARK), "test_nose: fails on upstream for an unlisted reason"),
        (run(eye=DARK, nose=Result("passed", digest="1")), "test_nose: passes on both trees, with different bits"),
    ],
    ids=["not-fixed", "fixed-too-early", "another-reason", "breaks", "other-bits"],
)
def test_a_step_that_does_anything_else_is_named_with_its_patch(suite, step, words):
    _, problems = stairs(suite, [STEPS[0], step, STEPS[2]])
    assert problems[0].startswith(f"after {PATCHES[0]}, on cpu: ")
    assert words in problems[0]


def test_a_red_test_is_one_that_fails_or_gives_other_bits():
    assert red(run()) is None
    assert red(run(eye=DARK)) == ("test_a.py::test_eye", "ValueError: it is dark")
    assert red(run(eye=replace(DARK, outcome="error"))) == ("test_a.py::test_eye", "ValueError: it is dark")
    other = run(nose=Result("passed", digest="2"))
    assert red(other) is None
    assert red(other, run(nose=Result("passed", digest="1"))) == ("test_a.py::test_nose", "passes, with different bits")


@pytest.mark.parametrize(
    ("kind", "by", "named"),
    [
        ("hunk", "test", False),
        ("hunk", "nothing", True),
        ("statement", "nothing", True),
        ("statement", "mypy", False),
        ("run", "words", False),
        ("hunk", "words", True),
    ],
)
def test_what_nothing_needs_is_named(kind, by, named):
    found = list(not_needed([Finding(replace(PIECE, kind=kind), "the series", by)]))
    assert found == [f"{PATCHES[0]}: nothing needs the {kind} at liquid_audio/ear.py:3, `listen()`"] * named


def test_a_tree_without_a_file_or_with_another_text_is_a_copy(tmp_path):
    base, file = tmp_path / "base", "liquid_audio/ear.py"
    (base / "liquid_audio" / "__pycache__").mkdir(parents=True)
    (base / file).write_text("one")
    (base / "liquid_audio" / "__pycache__" / "ear.cpython-312.pyc").touch()
    assert not (without(base, file, "", tmp_path / "gone") / file).exists()
    changed = without(base, file, "two", tmp_path / "changed")
    assert (changed / file).read_text() == "two"
    assert not any((changed / "liquid_audio" / "__pycache__").iterdir())
    assert (base / file).read_text() == "one"


def test_tests_cost_what_the_slowest_of_their_function_does():
    results = {
        EARS[0]: Result("passed", seconds=9.0),
        EARS[1]: Result("passed", seconds=0.1),
        EYE: Result("passed", seconds=1.0),
    }
    assert costs(Run(results, frozenset(results))) == {EARS[0]: 9.0, EARS[1]: 9.0, EYE: 1.0}


def test_the_table_counts_what_needs_the_pieces():
    table = necessity.necessity([Finding(PIECE, "the series", "test", "cpu", "test_a.py::test_eye", "it is dark")])
    assert table.note.startswith("1 pieces, by what needs them: 1 test. ")
    assert {len(row) for row in table.rows} == {len(table.columns)}
