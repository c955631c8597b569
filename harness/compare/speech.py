"""The speech that the recognizers transcribe: thirteen recordings, and longer files made of the committed clips."""

import re
from dataclasses import dataclass

import numpy as np
import torch
import torchaudio

from fixtures.build.recordings import read
from fixtures.build.recordings import recordings as known
from fixtures.build.sources import unpacked
from harness.speech import clips

RATE = 16_000
LIBRIVOX = "pocketsphinx-5.1.1/test/data/librivox"
# Seconds between two clips, and the noise of a quiet room: no recording has a pause of digital silence.
PAUSE, NOISE, SEED = (0.6, 1.2), 1e-3, 20261125


@dataclass(frozen=True)
class Speech:
    """Audio with its words.

    Attributes:
        text: what is said
        wave: float32 samples at 16 kHz, (samples,) shaped
    """

    text: str
    wave: np.ndarray

    @property
    def seconds(self) -> float:
        return len(self.wave) / RATE


def recordings() -> list[Speech]:
    """Return the recordings of PocketSphinx's tests: commands, digits, cards, and five sentences of LibriVox.

    Raises:
        HarnessError: the package cannot be downloaded, or is not the pinned one
    """
    folder = unpacked("pocketsphinx") / LIBRIVOX
    short = [(clip.words, clip.load()) for clip in known() if clip.source == "pocketsphinx"]
    transcripts = re.findall(r"^<s>(.+)</s> \((\S+)\)$", (folder / "transcription").read_text(encoding="utf-8"), re.MULTILINE)
    sentences = [(text.strip(), read(folder / f"{name}.wav")) for text, name in transcripts]
    return [Speech(text, _resample(*read)) for text, read in short + sentences]


def joined(seconds: float) -> Speech:
    """Join the committed clips, with pauses, into a file of the given length.

    Every clip is used once, in an order drawn with a fixed seed, then again in another order. A file begins as longer ones do.
    """
    draw = np.random.default_rng(SEED)
    pool = [(clip.text, _resample(clip.mono()[0].numpy(), clip.sampling_rate)) for clip in clips()]
    wave = np.random.default_rng(SEED).normal(0, NOISE, int(seconds * RATE)).astype(np.float32)
    words: list[str] = []
    end = 0
    while True:
        for place in draw.permutation(len(pool)):
            text, clip = pool[place]
            pause = int(draw.uniform(*PAUSE) * RATE)
            if end + len(clip) + pause > len(wave):
                return Speech(" ".join(words), wave)
            wave[end : end + len(clip)] += clip
            end += len(clip) + pause
            words.append(text)


def _resample(wave: np.ndarray, rate: int) -> np.ndarray:
    resampled: np.ndarray = torchaudio.functional.resample(torch.from_numpy(wave), rate, RATE).numpy()
    return resampled
