"""Figures computed from measured stages: longer audio, real-time factors, and how far a stage is from the host's limit."""

import math
from collections.abc import Mapping
from typing import Any

from harness.cost.fit import Growth, fit

# Speech of 150 words a minute, in tokens of three quarters of a word.
TOKENS_PER_SECOND = 150 / 60 * 4 / 3
# The frame rate of upstream's audio, and the longest piece for transcription, in seconds.
FRAMES_PER_SECOND, PIECE = 12.5, 30
# The highest power of the length by which a stage grows: attention compares every position with every other.
DEGREES = {"features": 1, "encoder": 2, "prefill": 2, "token": 1}
STAGES = tuple(DEGREES)

type Stages = Mapping[str, Mapping[str, float]]


def tokens_of(seconds: float) -> int:
    """Return how many tokens so many seconds of speech take."""
    return math.ceil(seconds * TOKENS_PER_SECOND)


def at(growth: Growth, length: float) -> float:
    """Return the time at a length."""
    return sum(value * length**n for n, value in enumerate(growth))


def growths(stages: Stages, without: float | None = None) -> dict[str, Growth]:
    """Fit each stage to the measured lengths, except `without`."""
    lengths = [float(length) for length in stages if float(length) != without]
    times = {name: [found[name] for length, found in stages.items() if float(length) != without] for name in STAGES}
    return {name: fit(lengths, times[name], min(degree, len(lengths) - 1)) for name, degree in DEGREES.items()}


def turn(known: Mapping[str, Growth], seconds: float) -> float:
    """Return how long it takes to transcribe audio in one turn, from samples to the last token."""
    before = sum(at(known[name], seconds) for name in ("features", "encoder", "prefill"))
    return before + tokens_of(seconds) * at(known["token"], seconds)


def real_time_factor(known: Mapping[str, Growth], seconds: float, piece: float | None = None) -> float:
    """Return how long transcription takes for each second of audio.

    Args:
        known: how the stages grow
        seconds: length of the audio
        piece: the longest piece, in seconds, that is transcribed at once; None for all of it
    """
    pieces = math.ceil(seconds / piece) if piece else 1
    return pieces * turn(known, seconds / pieces) / seconds


def error(stages: Stages) -> float:
    """Return the relative error of a turn of the longest audio, computed from shorter ones, against its measured stages."""
    longest = max(float(length) for length in stages)
    measured = {name: [stages[length][name]] for length in stages if float(length) == longest for name in STAGES}
    return turn(growths(stages, without=longest), longest) / turn(measured, longest) - 1


def limits(found: Mapping[str, Any], seconds: str) -> dict[str, float]:
    """Return the shortest times that the matrix products and the memory of this host allow.

    Args:
        found: what `harness.cost.full.stages` printed
        seconds: length of the audio, a key of its stages
    """
    stage, weights = found["stages"][seconds], found["weights"]
    read = {name: weights[f"{name} B"] / found["bandwidth B/s"] for name in ("token", "frame")}
    return {
        "encoder": stage["encoder operations"] / found["operations/s"],
        "prefill": max(stage["prefill operations"] / found["operations/s"], read["token"]),
        **read,
    }


def speaking(found: Mapping[str, Any], seconds: str, texts: int = 6, frames: int = 12) -> float:
    """Return how long the model takes for each second of its speech: interleaved text and audio, before decoding."""
    stage = found["stages"][seconds]
    step = (texts + frames) / frames * stage["token"] + stage["frame"]
    return float(step * FRAMES_PER_SECOND)


def advice(found: Mapping[str, Mapping[str, Any]], seconds: str = "30") -> str:
    """Say which dtype is better on a CPU, from the measurements with each."""
    times = {dtype: known["whole"][seconds]["seconds"] for dtype, known in found.items()}
    fast, slow = sorted(times, key=lambda dtype: times[dtype])
    most = {dtype: known["peak B"] / 1e9 for dtype, known in found.items()}
    words = (
        f"On this host {fast} is the better choice: {seconds} s of speech take {times[fast]:.1f} s against {times[slow]:.1f} s"
    )
    if most[fast] <= most[slow]:
        return f"{words}, and at most {most[fast]:.1f} GB against {most[slow]:.1f} GB."
    return f"{words}, but at most {most[fast]:.1f} GB against {most[slow]:.1f} GB: where memory is short, use {slow}."
