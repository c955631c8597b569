"""A real checkpoint, given by `--checkpoint`, which makes a separate lane."""

import filecmp
from pathlib import Path

import jiwer
from rich.console import Console
from rich.table import Table

from harness import HarnessError
from harness.lane.results import Run
from harness.package.checkpoint import MIMI, TINY
from harness.suite.speech import clips, normalise

# The files that the suite needs; without the last two the model cannot speak.
PARTS = ("config.json", "model.safetensors", "audio_detokenizer/config.json", MIMI)
CANONICAL = "tests/test_transcription.py::test_canonical_waveform_transcribes_correctly[{lane}-float32-{clip}]"


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


def heard(run: Run, lane: str) -> list[tuple[str, str, str, float]]:
    """List the clips that a checkpoint misheard, each with its spoken words, heard words and word error rate."""
    found = []
    for clip in clips():
        result = run.results.get(CANONICAL.format(lane=lane, clip=clip.id))
        words = normalise(result.transcript or "") if result else ""
        if words != clip.text:
            found.append((clip.id, clip.text, words, jiwer.wer(clip.text, words)))
    return found


def show(found: list[tuple[str, str, str, float]]) -> str:
    """Print a table of the misheard clips, and sum it up in a sentence."""
    table = Table("clip", "spoken", "heard", "WER", title="Clips that this checkpoint mishears", title_justify="left")
    for clip, spoken, words, wer in found:
        table.add_row(clip, spoken, words or "nothing", f"{wer:.0%}")
    Console(highlight=False).print(table)
    return f"the checkpoint mishears {len(found)} of {len(clips())} clips: tests that compare words cannot judge with it"
