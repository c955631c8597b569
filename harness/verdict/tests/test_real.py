"""A real checkpoint is a separate lane, and any other folder is rejected before anything runs."""

import shutil

import pytest

from harness import HarnessError
from harness.lane.results import Result, Run
from harness.package.checkpoint import TINY
from harness.suite.speech import clips
from harness.verdict import lane
from harness.verdict.real import CANONICAL, PARTS, heard, require, show

RIGHT = {CANONICAL.format(lane="cpu", clip=clip.id): Result("passed", transcript=clip.text) for clip in clips()}


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with an empty file for each part."""
    for part in PARTS:
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).touch()
    return tmp_path


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_is_named(checkpoint, part):
    require(checkpoint)
    (checkpoint / part).unlink()
    with pytest.raises(
        HarnessError, match=rf"^--checkpoint .+: there is no {part}: expected the folder of a whole LFM2-Audio"
    ):
        require(checkpoint)


@pytest.mark.parametrize("part", ["config.json", "model.safetensors"])
def test_the_tiny_checkpoint_is_not_a_real_one(checkpoint, part):
    # It once passed for one, with an extra line in its settings.
    shutil.copy(TINY / part, checkpoint)
    with pytest.raises(HarnessError, match=r"is the tiny checkpoint, which is the default: leave the option out$"):
        require(checkpoint)


def test_it_is_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(lane, "OUT", tmp_path / "out")
    monkeypatch.setattr(lane, "start_suite", lambda *arguments: pytest.fail("it ran"))
    with pytest.raises(HarnessError, match=r"^--checkpoint .+: there is no config\.json"):
        lane.run_lanes(["cpu"], "--checkpoint", str(tmp_path))


def test_what_it_hears_otherwise_is_one_table_and_one_sentence(capsys):
    first, second = clips()[:2]
    other = {
        CANONICAL.format(lane="cpu", clip=first.id): Result("failed", "AssertionError", transcript="Something, else."),
        CANONICAL.format(lane="cpu", clip=second.id): Result("failed", "RuntimeError"),
    }
    assert heard(Run(RIGHT), "cpu") == []
    found = heard(Run({**RIGHT, **other}), "cpu")
    assert [(clip, words) for clip, _, words, _ in found] == [(first.id, "something else"), (second.id, "")]
    assert found[1][3] == 1
    assert show(found) == f"the checkpoint mishears 2 of {len(clips())} clips: tests that compare words cannot judge with it"
    assert "something" in capsys.readouterr().out
