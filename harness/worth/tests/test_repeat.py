"""Two runs that differ are told apart by each difference."""

from dataclasses import replace

import pytest

from harness import HarnessError
from harness.lane.results import Result, Run
from harness.worth.repeat import differences, run

TEST = "tests/test_a.py::test_ear"
FAILED = Result("failed", "TypeError", "deaf", digest="1")


def once(result, test=TEST):
    return {"upstream": Run({test: result}, frozenset([test]))}


def test_the_same_is_the_same_whatever_it_took():
    assert list(differences(once(FAILED), once(replace(FAILED, seconds=9.0, where="b.py:1")))) == []
    ears = [replace(FAILED, message=f"<Ear at {place}>") for place in ("0x7f0866a0", "0x7fab66a0")]
    assert list(differences(*map(once, ears))) == []


@pytest.mark.parametrize("what", ["outcome", "type", "message", "digest"])
def test_any_difference_is_named(what):
    found = list(differences(once(FAILED), once(replace(FAILED, **{what: "another"}))))
    assert found == [f"upstream: {TEST}: its {what} was {getattr(FAILED, what)!r}, then 'another'"]


def test_a_test_that_came_or_went_is_named():
    found = list(differences(once(FAILED), once(FAILED, "tests/test_a.py::test_eye")))
    assert found == [
        f"upstream: tests/test_a.py::{name} was collected in only one of them" for name in ("test_ear", "test_eye")
    ]


def test_once_is_no_repetition():
    with pytest.raises(HarnessError, match="pass 2 or more"):
        run("cpu", 1, None)
