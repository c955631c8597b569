"""What the recognizers hear: thirteen recordings of men, and longer files of committed clips with pauses between them."""

import re
from dataclasses import dataclass

import numpy as np
import torch
import torchaudio

from fixtures.build.recordings import read, recordings
from fixtures.build.sources import unpacked
from fixtures.build.vocabulary import WORDS
from harness.speech import clips

RATE = 16_000
LIBRIVOX = "pocketsphinx-5.1.1/test/data/librivox"
# Seconds between two clips, and the noise of a quiet room: digital silence would be a pause that no recording has.
PAUSE, NOISE, SEED = (0.6, 1.2), 1e-3, 20261125


@dataclass(frozen=True)
class Spoken:
    """Speech with its words.

    Attributes:
        id: short name
        text: what is said
        wave: float32 samples at 16 kHz, (samples,) shaped
    """

    id: str
    text: str
    wave: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.wave) / RATE


def human() -> list[Spoken]:
    """Return the recordings of PocketSphinx's own tests: commands, digits, cards, and five sentences of LibriVox.

    Raises:
        HarnessError: the package is not available, or is not the pinned one
    """
    folder = unpacked("pocketsphinx")
    short = [recording for recording in recordings() if recording.source == "pocketsphinx"]
    found = [Spoken(recording.id, recording.words, _mono(*recording.load())) for recording in short]
    for name, text in transcripts((folder / LIBRIVOX / "transcription").read_text(encoding="utf-8")).items():
        found.append(Spoken(f"pocketsphinx/{name[-4:]}", text, _mono(*read(folder / LIBRIVOX / f"{name}.wav"))))
    return found


def knows(text: str) -> bool:
    """Say whether the tiny checkpoint knows all words of a text."""
    return set(text.split()) <= set(WORDS)


def trained() -> set[str]:
    """Name the recordings that the tiny checkpoint was trained on, which the note to its word error rates counts."""
    return {recording.id for recording in recordings() if recording.role == "train"}


def transcripts(text: str) -> dict[str, str]:
    """Read transcripts in Sphinx's format: `<s> words </s> (name)`, one a line."""
    return {name: words.strip() for words, name in re.findall(r"^<s>(.+)</s> \((\S+)\)$", text, re.MULTILINE)}


def joined(seconds: float) -> Spoken:
    """Join committed clips, all of whose words the tiny checkpoint knows, into a file of the given length.

    All clips come once, in an order drawn with a fixed seed, then all again in another order. A file begins as longer ones do.
    """
    draw = np.random.default_rng(SEED)
    pool = [Spoken(clip.id, clip.text, _mono(clip.mono()[0].numpy(), clip.sampling_rate)) for clip in clips()]
    wave: list[np.ndarray] = []
    words: list[str] = []
    room = int(seconds * RATE)
    while True:
        for place in draw.permutation(len(pool)):
            clip, pause = pool[place], np.zeros(int(draw.uniform(*PAUSE) * RATE), np.float32)
            if len(clip.wave) + len(pause) > room:
                return Spoken(f"{seconds:g} s", " ".join(words), _quiet(np.concatenate(wave), int(seconds * RATE)))
            wave += [clip.wave, pause]
            words.append(clip.text)
            room -= len(clip.wave) + len(pause)


def _quiet(wave: np.ndarray, length: int) -> np.ndarray:
    """Pad to a length, and add the noise of a room to all of it."""
    noise = np.random.default_rng(SEED).normal(0, NOISE, length)
    return (np.pad(wave, (0, length - len(wave))) + noise).astype(np.float32)


def _mono(wave: np.ndarray, rate: int) -> np.ndarray:
    """Resample mono audio to 16 kHz."""
    found: np.ndarray = torchaudio.functional.resample(torch.from_numpy(wave), rate, RATE).numpy()
    return found
