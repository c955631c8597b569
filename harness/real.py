"""A real checkpoint, given by `--checkpoint`, which makes a separate lane."""

import filecmp
from pathlib import Path

import jiwer

from harness import HarnessError
from harness.checkpoint import MIMI, TINY
from harness.results import Run
from harness.speech import clips, normalise

# The files that the suite needs; without the last two the model cannot speak.
PARTS = ("config.json", "model.safetensors", "audio_detokenizer/config.json", MIMI)
CANONICAL = "tests/test_transcription.py::test_canonical_waveform_transcribes_correctly[{device}-float32-{clip}]"


def require(folder: Path, option: str = "--checkpoint") -> None:
    """Check that a folder contains a real checkpoint, before anything runs.

    Args:
        folder: the folder
        option: the option that named it, for messages

    Raises:
        HarnessError: the folder lacks a part, or contains the tiny checkpoint
    """
    for part in PARTS:
        if not (folder / part).is_file():
            raise HarnessError(f"{option} {folder}: there is no {part}: expected the folder of a whole LFM2-Audio checkpoint")
    # One identical file is enough, because saving a checkpoint may rewrite its settings.
    if any(filecmp.cmp(folder / part, TINY / part, shallow=False) for part in ("config.json", "model.safetensors")):
        raise HarnessError(f"{option} {folder} is the tiny checkpoint, which is the default: leave the option out")


def misheard(run: Run, device: str) -> list[str]:
    """List the clips that a checkpoint misheard, with the spoken and heard words and their word error rate.

    Tests that compare words cannot judge with such a checkpoint, so each of them would report the same.
    """
    found = []
    for clip in clips():
        result = run.results.get(CANONICAL.format(device=device, clip=clip.id))
        words = normalise(result.transcript or "") if result else ""
        if words != clip.text:
            wer = f"{jiwer.wer(clip.text, words):.0%}"
            found.append(f"the checkpoint mishears {clip.id}: {clip.text!r} as {words!r}, with a word error rate of {wer}")
    return found
