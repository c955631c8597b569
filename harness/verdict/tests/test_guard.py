"""The tests must notice the series broken on purpose, each patch for itself."""

import pytest

from harness import HarnessError
from harness.lane.results import Result, Run
from harness.package import trees
from harness.verdict import guard


def test_a_mistake_that_its_test_does_not_notice_is_a_problem():
    tests = {patch: f"tests/test_a.py::test_{patch}" for patch in ("ears", "eyes", "nose")}
    run = Run({tests["ears"]: Result("failed"), tests["eyes"]: Result("passed")}, 1)
    assert list(guard.problems(tests, run)) == [
        "broken on purpose in eyes: tests/test_a.py::test_eyes should fail, and it passes",
        "broken on purpose in nose: tests/test_a.py::test_nose should fail, and it is missing",
    ]


def test_every_patch_is_broken_once(monkeypatch, tmp_path):
    broken = guard.build().path
    patched = trees.resolve("patched").path
    assert broken != patched and len(guard.read()) == len(trees.series())
    monkeypatch.setattr(trees, "series", lambda: [tmp_path / "0099-Another.patch"])
    with pytest.raises(HarnessError, match=r"^broken\.toml names no test that notices a mistake in 0099-Another\.patch"):
        guard.read()
