"""The census is rewritten only from verdicts of these files that have no other problem."""

import pytest

from harness import HarnessError, world
from harness.census import read
from harness.report.census import take
from harness.tests import lanes
from harness.tests.lanes import NAMED, leave

out, patches = lanes.out, lanes.patches


def test_census_is_taken_from_verdicts_without_another_problem(tmp_path, out, patches):
    leave(out, patches, problems=["census: something counts 1"], holds=False)
    file = take(out, patches, tmp_path / "census.txt")
    assert read(file)["cpu"][NAMED.removeprefix("tests/").partition("[")[0]] == (2, 1, 1, 0)
    leave(out, patches, name="sim", problems=["tests/test_census.py::test_a is missing"], holds=False)
    with pytest.raises(HarnessError, match=r"^the verdict on sim has another problem first: tests/test_census\.py::test_a is"):
        take(out, patches, file)


@pytest.mark.parametrize("changes", [{"digest": "0"}, {"counts": {"fail→pass": 1, "pass→pass": 7}}])
def test_census_is_not_taken_from_a_stale_verdict(tmp_path, out, patches, changes):
    leave(out, patches, **changes)
    with pytest.raises(HarnessError, match=f"^there is no verdict .*({world.STALE}|not from the run of its verdict): run"):
        take(out, patches, tmp_path / "census.txt")
