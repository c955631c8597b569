"""A rival is named if it is not rejected for its stated reason, or does not fix what is stated."""

import pytest

from harness import HarnessError
from harness.catalogue import Bug, Reason
from harness.results import Result, Run
from harness.worth.rivals import Rival, Shown, broken, problems, read_rivals
from harness.worth.sample import Suite

BUG = Bug("deaf", "wrong", "", "0001.patch", ("cpu",), (Reason("TypeError", "deaf", judged="it"),), ("test_a.py::test_ear",))
EAR, NOSE = "tests/test_a.py::test_ear", "tests/test_a.py::test_nose"
SUITE = Suite("cpu", (BUG,), (EAR, NOSE), (EAR, NOSE))
PASS, DEAF, COLD = Result("passed"), Result("failed", "TypeError", "deaf"), Result("failed", "ValueError", "a cold")
LOUD = Rival(
    "loud.patch",
    "louder",
    "it gives a cold",
    {"cpu": ["deaf"]},
    (Shown("cpu", "test_a.py::*", Reason("ValueError", "cold", judged="it")),),
)


def run(ear, nose):
    return Run({EAR: ear, NOSE: nose})


@pytest.mark.parametrize(
    ("ear", "nose", "words"),
    [
        (PASS, COLD, []),
        (DEAF, COLD, ["fixes no bug on cpu, not deaf"]),
        (PASS, DEAF, ["does not fail on cpu with ValueError: cold"]),
        (PASS, PASS, ["does not fail on cpu with ValueError: cold", "the suite does not reject it"]),
    ],
)
def test_a_rival_is_what_is_expected_or_named(ear, nose, words):
    found = list(problems(LOUD, {"cpu": run(DEAF, PASS)}, {"cpu": run(ear, nose)}, [SUITE]))
    assert len(found) == len(words)
    assert all(word in problem for word, problem in zip(words, found, strict=True))


def test_what_passed_on_upstream_and_does_not_any_more_is_broken():
    upstream = run(DEAF, Result("passed", digest="1"))
    assert list(broken(upstream, run(COLD, COLD))) == ["test_a.py::test_nose (ValueError: a cold)"]
    assert list(broken(upstream, run(PASS, Result("passed", digest="2")))) == ["test_a.py::test_nose (different bits)"]
    assert list(broken(upstream, upstream)) == []


def test_every_rival_is_described_and_every_description_has_its_patch(tmp_path):
    described = {rival.patch for rival in read_rivals()}
    assert len(described) == 6
    (tmp_path / "rivals.toml").write_text('[[rival]]\npatch = "a.patch"\ntitle = ""\nrejected = "x"\nfixes = {}\nshown = []\n')
    with pytest.raises(HarnessError, match=r"describes a\.patch, but there are $"):
        read_rivals(tmp_path)
    (tmp_path / "a.patch").touch()
    with pytest.raises(HarnessError, match=r"^a\.patch: rivals\.toml gives no reason"):
        read_rivals(tmp_path)
