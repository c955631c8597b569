"""A real checkpoint is a separate lane, and any other folder is rejected before anything runs."""

import shutil

import pytest

from harness import HarnessError
from harness.checkpoint import TINY
from harness.real import CANONICAL, PARTS, misheard, require
from harness.results import Result, Run
from harness.speech import clips

RIGHT = {CANONICAL.format(device="cpu", clip=clip.id): Result("passed", transcript=clip.text) for clip in clips()}


def test_missing_part_and_tiny_checkpoint_are_refused(tmp_path):
    for part in PARTS:
        with pytest.raises(HarnessError, match=rf"^--checkpoint .+: there is no {part}: expected the folder of a whole"):
            require(tmp_path)
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).touch()
    require(tmp_path)
    shutil.copy(TINY / "config.json", tmp_path)
    with pytest.raises(HarnessError, match=r"is the tiny checkpoint, which is the default: leave the option out$"):
        require(tmp_path)


def test_misheard_clips_are_listed():
    first = clips()[0]
    other = {CANONICAL.format(device="cpu", clip=first.id): Result("failed", "AssertionError", transcript="Something, else.")}
    assert misheard(Run(RIGHT), "cpu") == []
    (said,) = misheard(Run({**RIGHT, **other}), "cpu")
    assert said.startswith(f"the checkpoint mishears {first.id}: {first.text!r} as 'something else', with")
