"""The census notices tests that vanish or no longer count."""

import pytest

from harness import HarnessError
from harness.census import count, differences, expected, read, totals, write
from harness.results import Run
from harness.tests.test_judge import EARS, NOSE, PATCHED, UPSTREAM

COUNTS = {"test_a.py::test_ear": (2, 2, 0, 0), "test_a.py::test_eye": (1, 1, 0, 0), "test_a.py::test_nose": (1, 0, 1, 1)}


@pytest.fixture
def file(tmp_path):
    file = tmp_path / "census.txt"
    write({"cpu": ("cpu", COUNTS), "sim": ("sim", COUNTS)}, file)
    return file


def test_census_counts_by_function_and_comes_back_as_written(file):
    assert count(Run(UPSTREAM), Run(PATCHED)) == COUNTS
    assert read(file) == {"cpu": COUNTS, "sim": COUNTS}
    assert list(differences(COUNTS, "cpu", "cpu", file)) == []
    assert totals("cpu", "cpu-latest", file) == {"fail→pass": 3, "pass→pass": 1, "bits": 1}


@pytest.mark.parametrize(("gone", "now", "was"), [(NOSE, "nothing", "1 0 1 1"), (EARS[0], "1 1 0 0", "2 2 0 0")])
def test_vanished_test_is_a_difference(file, gone, now, was):
    fewer = [{test: result for test, result in results.items() if test != gone} for results in (UPSTREAM, PATCHED)]
    (said,) = differences(count(Run(fewer[0]), Run(fewer[1])), "cpu", "cpu", file)
    assert f" counts {now}, but census.txt says {was}: " in said


def test_bits_that_are_no_longer_recorded_are_a_difference(file):
    assert len(list(differences({**COUNTS, "test_a.py::test_nose": (1, 0, 1, 0)}, "cpu", "cpu", file))) == 1


def test_another_stack_has_lines_where_it_differs(file):
    floor = {**COUNTS, "test_a.py::test_eye": (1, 0, 1, 0)}
    write({"cpu-floor": ("cpu", floor)}, file)
    assert read(file)["cpu-floor"] == {"test_a.py::test_eye": (1, 0, 1, 0)}
    assert expected("cpu", "cpu-floor", file) == floor
    assert list(differences(floor, "cpu", "cpu-floor", file)) == list(differences(COUNTS, "cpu", "cpu-latest", file)) == []


def test_first_run_on_a_device_needs_the_tests_of_sim_whatever_their_results(file):
    found = {test: (n[0], 0, n[0], 0) for test, n in COUNTS.items()}
    assert list(differences(found, "cuda", "cuda", file)) == []
    del found["test_a.py::test_eye"]
    (said,) = differences(found, "cuda", "cuda", file)
    assert "test_eye counts nothing, but census.txt says 1: " in said


def test_malformed_line_is_an_error(file):
    file.write_text(file.read_text() + "cpu many  test_a.py::test_tongue\n")
    with pytest.raises(HarnessError, match="which counts nothing"):
        read(file)
