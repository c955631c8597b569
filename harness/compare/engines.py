"""The recognizers. Each is loaded from a folder onto a device, and is then a function from samples to text."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from harness.compare import weights

# Turns float32 samples at 16 kHz into text.
Recognizer = Callable[[np.ndarray], str]

LENGTHS = (10, 30, 163)  # of the joined files, in seconds
TINY, REAL = "LFM2-Audio, tiny test checkpoint", "LFM2.5-Audio"
WHOLE, CUT = "whole file in one turn", "cut at pauses, 30 s at most"


@dataclass(frozen=True)
class Engine:
    """A recognizer, and how it is run.

    Attributes:
        name: its name in the tables
        how: the options that it runs with
        load: loads it from a folder onto a device, in a dtype
        weights: "whisper", "tiny" or "lfm"
        long: whether it also transcribes the joined files
    """

    name: str
    how: str
    load: Callable[[Path, str, str], Recognizer]
    weights: str
    long: bool = True

    def dtype(self, device: str) -> str:
        """Return the name of the dtype in which it computes on a device, by the default of its package."""
        if self.weights != "whisper":
            return "bfloat16"
        return "float32" if device == "cpu" else "float16"

    def label(self, device: str) -> str:
        return f"{self.name}, {self.how}, {device}, {self.dtype(device)}"


def openai(folder: Path, device: str, dtype: str, *, beam: int | None) -> Recognizer:
    """Load openai-whisper, without retries at other temperatures."""
    from whisper.model import ModelDimensions, Whisper

    model = Whisper(ModelDimensions(**weights.SIZES))
    model.load_state_dict(weights.openai_state((folder / "model.bin").read_bytes()))
    model.to(device)
    options = {"language": "en", "temperature": 0.0, "beam_size": beam, "fp16": dtype == "float16"}
    return lambda wave: str(model.transcribe(wave, **options)["text"])


def faster(folder: Path, device: str, dtype: str, *, beam: int) -> Recognizer:
    """Load faster-whisper, with the options of openai-whisper."""
    from faster_whisper import WhisperModel

    model = WhisperModel(str(folder), device=device, compute_type=dtype, cpu_threads=torch.get_num_threads())

    def recognize(wave: np.ndarray) -> str:
        segments, _ = model.transcribe(wave, language="en", temperature=0.0, beam_size=beam)
        return "".join(segment.text for segment in segments)

    return recognize


def lfm(folder: Path, device: str, dtype: str, *, cut: bool) -> Recognizer:
    """Load LFM2-Audio of the patched package. It transcribes by upstream's recipe, with more tokens for a long turn."""
    from liquid_audio import LFM2AudioModel, LFM2AudioProcessor

    from harness.speech import transcribe

    kind = getattr(torch, dtype)
    processor = LFM2AudioProcessor.from_pretrained(folder, device=device).eval()
    model = LFM2AudioModel.from_pretrained(folder, device=device, dtype=kind).eval()

    def turn(wave: np.ndarray) -> str:
        return transcribe(processor, model, wave, 16_000, kind, max(512, 8 * len(wave) // 16_000)).text

    if not cut:
        return turn
    pieces = cutter()
    return lambda wave: " ".join(map(turn, pieces(wave)))


def cutter() -> Callable[[np.ndarray], list[np.ndarray]]:
    """Load the voice-activity model, and return a function that cuts audio at pauses as README does."""
    threads = torch.get_num_threads()
    from silero_vad import get_speech_timestamps, load_silero_vad

    detector = load_silero_vad()
    torch.set_num_threads(threads)  # the package sets one thread on import

    def pieces(wave: np.ndarray) -> list[np.ndarray]:
        # With more threads, each of its many small steps would wait for the others.
        torch.set_num_threads(1)
        try:
            found = get_speech_timestamps(
                torch.from_numpy(wave), detector, max_speech_duration_s=30, min_silence_duration_ms=300, speech_pad_ms=200
            )
        finally:
            torch.set_num_threads(threads)
        return [wave[piece["start"] : piece["end"]] for piece in found]

    return pieces


ENGINES = (
    Engine("openai-whisper base", "greedy", partial(openai, beam=None), "whisper"),
    Engine("openai-whisper base", "beam of 5", partial(openai, beam=5), "whisper", long=False),
    Engine("faster-whisper base", "greedy", partial(faster, beam=1), "whisper"),
    Engine("faster-whisper base", "beam of 5", partial(faster, beam=5), "whisper", long=False),
    Engine(TINY, CUT, partial(lfm, cut=True), "tiny"),
    Engine(TINY, WHOLE, partial(lfm, cut=False), "tiny"),
    Engine(REAL, CUT, partial(lfm, cut=True), "lfm"),
    Engine(REAL, WHOLE, partial(lfm, cut=False), "lfm"),
)
