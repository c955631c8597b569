"""An alternative is a problem if it does not fix what is stated, or the suite does not reject it for its stated reason."""

import pytest

from harness import HarnessError
from harness.alternatives import Alternative, Shown, broken, problems, read
from harness.catalogue import Bug, Reason
from harness.results import Result, Run

BUG = Bug("deaf", "wrong", "", "0001.patch", (Reason("TypeError", "deaf", judged="it"),), ("test_a.py::test_ear",))
PASS, DEAF, COLD = Result("passed"), Result("failed", "TypeError", "deaf"), Result("failed", "ValueError", "a cold")
SHOWN = Shown("cpu", "test_a.py::*", Reason("ValueError", "cold", judged="it"))
LOUD = Alternative("loud.patch", "louder", "it gives a cold", {"cpu": ["deaf"]}, (SHOWN,))


def run(ear, nose):
    return Run({"tests/test_a.py::test_ear": ear, "tests/test_a.py::test_nose": nose})


@pytest.mark.parametrize(
    ("ear", "nose", "found"),
    [
        (PASS, COLD, []),
        (DEAF, COLD, ["loud.patch: fixes no bug on cpu, not deaf"]),
        (PASS, DEAF, ["loud.patch: test_a.py::* does not fail on cpu with ValueError: cold"]),
        (PASS, PASS, ["loud.patch: test_a.py::* does not fail on cpu with ValueError: cold"]),
    ],
)
def test_an_alternative_is_as_expected_or_a_problem(ear, nose, found):
    assert list(problems(LOUD, {"cpu": run(ear, nose)}, [BUG])) == found


def test_a_test_that_passes_on_upstream_and_no_longer_does_is_broken():
    upstream = run(DEAF, Result("passed", digest="1"))
    assert list(broken(upstream, run(COLD, COLD))) == ["test_a.py::test_nose (ValueError: a cold)"]
    assert list(broken(upstream, run(PASS, Result("passed", digest="2")))) == ["test_a.py::test_nose (different bits)"]
    assert list(broken(upstream, upstream)) == []


def test_every_patch_has_a_description_with_a_reason(tmp_path):
    assert len(read()) == 6
    entry = '[[alternative]]\npatch = "a.patch"\ntitle = ""\nrejected = "x"\nfixes = {}\nshown = []\n'
    (tmp_path / "alternatives.toml").write_text(entry)
    with pytest.raises(HarnessError, match=r"alternatives\.toml must describe exactly $"):
        read(tmp_path)
    (tmp_path / "a.patch").touch()
    with pytest.raises(HarnessError, match=r"^a\.patch: alternatives\.toml gives no reason"):
        read(tmp_path)
