"""The census notices tests that vanish or no longer count."""

from dataclasses import replace

import pytest

from harness import HarnessError
from harness.lane.results import Run
from harness.suite.catalogue import Catalogue
from harness.verdict import census
from harness.verdict.census import count, differences, expected, read, write
from harness.verdict.tests.test_judge import BUG, EARS, EYE, NOSE, PATCHED, SIGHT, UPSTREAM

CATALOGUE = Catalogue((BUG, SIGHT))
COUNTS = count(Run(UPSTREAM), Run(PATCHED), CATALOGUE, "cpu")


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "census.txt"
    write({"cpu": ("cpu", COUNTS)}, file)
    return file


def test_it_counts_by_function_and_by_glob():
    assert COUNTS == {
        "test_a.py::test_ear": (2, 2, 0, 0),
        "test_a.py::test_eye": (1, 1, 0, 0),
        "test_a.py::test_nose": (1, 0, 1, 1),
        "hard-of-hearing test_a.py::test_ear[*]": (2,),
        "blind test_a.py::test_eye": (1,),
    }


def test_it_comes_back_as_it_was_written(file):
    assert read(file) == {"cpu": COUNTS}
    assert list(differences(COUNTS, "cpu", "cpu", file)) == []


def without(*tests):
    """Count the runs without some tests."""
    left = [{test: result for test, result in results.items() if test not in tests} for results in (UPSTREAM, PATCHED)]
    return count(Run(left[0]), Run(left[1]), CATALOGUE, "cpu")


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ([NOSE], ["test_a.py::test_nose counts nothing, but census.txt says 1 0 1 1"]),
        ([EARS[0]], ["hard-of-hearing test_a.py::test_ear[*] counts 1, but", "test_a.py::test_ear counts 1 1 0 0, but"]),
        ([EYE], ["blind test_a.py::test_eye counts 0, but", "test_a.py::test_eye counts nothing, but"]),
    ],
)
def test_a_test_that_vanished_is_missed(file, gone, said):
    # A verdict once held without any test that passed on both trees, and with all tests of a bug but one deleted.
    found = list(differences(without(*gone), "cpu", "cpu", file))
    assert len(found) == len(said) and all(words in line for words, line in zip(said, found, strict=True))


def test_an_entry_deleted_with_its_tests_is_missed(file):
    left = [{test: result for test, result in results.items() if test != EYE} for results in (UPSTREAM, PATCHED)]
    found = count(Run(left[0]), Run(left[1]), Catalogue((BUG,)), "cpu")
    assert [line.partition(",")[0] for line in differences(found, "cpu", "cpu", file)] == [
        "census: blind test_a.py::test_eye counts nothing",
        "census: test_a.py::test_eye counts nothing",
    ]


def test_bits_that_are_no_longer_recorded_are_missed(file):
    fewer = {**COUNTS, "test_a.py::test_nose": (1, 0, 1, 0)}
    assert list(differences(fewer, "cpu", "cpu", file)) == [
        "census: test_a.py::test_nose counts 1 0 1 0, but census.txt says 1 0 1 1: see `python -m harness census`"
    ]


def test_another_stack_has_lines_where_it_differs(file):
    floor = {**COUNTS, "test_a.py::test_eye": (1, 0, 1, 0)}
    write({"cpu-floor": ("cpu", floor), "cpu": ("cpu", COUNTS)}, file)
    assert read(file)["cpu-floor"] == {"test_a.py::test_eye": (1, 0, 1, 0)}
    assert expected(read(file), "cpu-floor", "cpu") == floor
    assert list(differences(floor, "cpu-floor", "cpu", file)) == []
    assert list(differences(COUNTS, "cpu-latest", "cpu", file)) == []


def test_a_lane_that_holds_counts_so_many_tests(file):
    assert census.totals("cpu", "cpu", file) == {"fail→pass": 3, "pass→pass": 1}
    assert census.totals("cpu-latest", "cpu", file) == {"fail→pass": 3, "pass→pass": 1}
    assert census.totals("cuda", "cuda", file) == {}


def test_a_lane_without_a_census_does_not_hold(file):
    assert list(differences(COUNTS, "cuda", "cuda", file)) == [
        "census.txt has no census of cuda: if this is right, write it with `python -m harness census`"
    ]


def test_a_glob_that_names_no_test_on_any_lane_is_refused(tmp_path):
    # Another glob of the same bug once hid this.
    bug = replace(BUG, tests=(*BUG.tests, "test_a.py::test_mouth"))
    with pytest.raises(HarnessError, match=r"^bugs\.toml: hard-of-hearing test_a\.py::test_mouth names no test on any lane$"):
        write({"cpu": ("cpu", count(Run(UPSTREAM), Run(PATCHED), Catalogue((bug,)), "cpu"))}, tmp_path / "census.txt")


def test_a_line_that_counts_nothing_is_refused(file):
    file.write_text(file.read_text() + "cpu many  test_a.py::test_tongue\n")
    with pytest.raises(HarnessError, match="which counts nothing"):
        read(file)
