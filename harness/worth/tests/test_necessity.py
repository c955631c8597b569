"""A piece that no test needs is named."""

from dataclasses import replace

import pytest

from harness.catalogue import Bug, Reason
from harness.results import Result, Run
from harness.worth import necessity
from harness.worth.necessity import Finding, costs, not_needed, without
from harness.worth.pieces import Piece
from harness.worth.sample import sample
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
    return Run({test: results.get(name, PASS) for name, test in tests.items()})


def test_of_a_many_fold_test_the_first_and_last_are_run():
    assert sample(ALL, BUGS) == [EARS[0], EARS[-1], EYE, NOSE]
    assert sample(ALL, BUGS, whole=9) == list(ALL)


def test_a_red_test_is_one_that_fails_or_gives_other_bits():
    assert red(run()) is None
    assert red(run(eye=DARK)) == ("test_a.py::test_eye", "ValueError: it is dark")
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
    assert costs(Run(results)) == {EARS[0]: 9.0, EARS[1]: 9.0, EYE: 1.0}


def test_the_table_counts_what_needs_the_pieces():
    table = necessity.necessity([Finding(PIECE, "the series", "test", "cpu", "test_a.py::test_eye", "it is dark")])
    assert table.note.startswith("1 pieces, by what needs them: 1 test. ")
    assert {len(row) for row in table.rows} == {len(table.columns)}
