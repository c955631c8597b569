"""What a bug gives is told by the exception that says most."""

import pytest

from harness.results import Result, Run
from harness.show import views


@pytest.mark.parametrize(
    ("title", "words"),
    [("It fails", "PicklingError: no"), ("Wrong without an error: it gives another mel", "no exception, assert 1 == 2")],
)
def test_an_exception_says_more_than_a_test_unless_nothing_fails(title, words):
    found = {("AssertionError", "assert 1\n== 2", "test_moves.py:58"): 2, ("PicklingError", "no", "test_moves.py:74"): 1}
    assert views.gives({"title": title, "exceptions": found}) == words


def test_an_exception_without_a_message_says_where_it_comes_from():
    found = {("AssertionError", "", "processor.py:240"): 1}
    assert views.gives({"title": "It fails", "exceptions": found}) == "AssertionError without a message, processor.py:240"


def test_the_same_exception_at_other_addresses_counts_as_one():
    at = [Result("failed", type="PicklingError", message=f"no <Ear at 0x7f{n}66a0>") for n in range(10, 12)]
    results = {"tests/a": at[0], "tests/b": at[1], "tests/c": Result("failed", type="RuntimeError", message="yes")}
    record = {"bugs": [{"id": "deaf", "title": "It fails", "patch": "0001", "shown": list(results), "fixed": 3}]}
    (bug,) = views.bugs([views.Lane("cpu", record, {"upstream": Run(results)})])
    assert bug["gives"] == ["PicklingError: no <Ear at 0x…>"]
