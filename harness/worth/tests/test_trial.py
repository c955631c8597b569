"""A run in a forked process is a run of the suite, and one that does not finish is an error."""

import pytest

from harness import HarnessError
from harness.worth.trial import Trials


def test_a_run_is_a_process_of_its_own_that_leaves_this_one_alone():
    with Trials() as trials:
        run = trials.run("upstream", "cpu", ["tests/test_signatures.py::test_device_defaults_to_auto"])
        assert [(r.outcome, r.type, r.message.splitlines()[0]) for r in run.results.values()] == [
            ("failed", "AssertionError", "assert 'cuda' == 'auto'")
        ] * 2
        patched = trials.run("patched", "cpu", ["tests/test_signatures.py"])
        assert {result.outcome for result in patched.results.values()} == {"passed"}
        with pytest.raises(HarnessError, match=r"did not finish on patched, cpu: .*no (tests ran|match)"):
            trials.run("patched", "cpu", ["tests/test_signatures.py::test_nothing"])
    with pytest.raises(HarnessError, match=r"^interrupted$"):
        trials.run("patched", "cpu", [])
