"""The tests must notice the series broken on purpose, each patch for itself."""

import pytest

from harness import HarnessError, guard, trees
from harness.results import Result, Run


def test_a_mistake_that_its_test_does_not_notice_is_a_problem():
    tests = {patch: (f"test_{patch}", "TypeError") for patch in ("ears", "eyes", "nose", "mouth")}
    run = Run(
        {"test_ears": Result("failed", "TypeError"), "test_eyes": Result("passed"), "test_nose": Result("failed", "OSError")},
        1,
    )
    assert list(guard.problems(tests, run)) == [
        "broken on purpose in eyes: test_eyes should fail with TypeError, and it is passed",
        "broken on purpose in nose: test_nose should fail with TypeError, and it is failed OSError",
        "broken on purpose in mouth: test_mouth should fail with TypeError, and it is missing",
    ]


def test_every_patch_is_broken_once(monkeypatch, tmp_path):
    broken = guard.build().path
    patched = trees.resolve("patched").path
    assert broken != patched and len(guard.read()) == len(trees.series())
    monkeypatch.setattr(trees, "series", lambda: [tmp_path / "0099-Another.patch"])
    with pytest.raises(HarnessError, match=r"^broken\.toml names no test that notices a mistake in 0099-Another\.patch"):
        guard.read()
