"""The recognizers: each loads itself and returns a function from samples to text. Loading one imports its package."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

# Turns float32 samples at 16 kHz into text.
Recognizer = Callable[[np.ndarray], str]

# How long the joined files are, in seconds.
ALL = (10, 30, 163, 944)


@dataclass(frozen=True)
class Engine:
    """A recognizer, and how it is run.

    Attributes:
        name: its name in the tables
        how: the options that it runs with
        load: loads it from a folder on a device, with a number of threads for packages that do not use torch's
        family: "whisper", "tiny" or "lfm", which says where its weights come from
        seconds: lengths of the joined files that it is given; none if its other rows say enough
        devices: the devices that it runs on
    """

    name: str
    how: str
    load: Callable[[Path, str, int], Recognizer]
    family: str
    seconds: tuple[int, ...] = ()
    devices: tuple[str, ...] = ("cpu", "cuda", "mps")


def _openai(beam: int | None) -> Callable[[Path, str, int], Recognizer]:
    """OpenAI's own package, in float32 on a CPU and float16 on a GPU, without retries at other temperatures."""

    def load(folder: Path, device: str, threads: int) -> Recognizer:
        import whisper

        from harness.compare.hearing.weights import CONVERTED

        model = whisper.load_model(str(folder / CONVERTED), device=device)
        options = {"language": "en", "temperature": 0.0, "beam_size": beam, "fp16": device != "cpu"}
        return lambda wave: str(model.transcribe(wave, **options)["text"])

    return load


def _faster(beam: int) -> Callable[[Path, str, int], Recognizer]:
    """The same with CTranslate2, in float32 on a CPU and float16 on a GPU."""

    def load(folder: Path, device: str, threads: int) -> Recognizer:
        import faster_whisper

        kind = "float32" if device == "cpu" else "float16"
        model = faster_whisper.WhisperModel(str(folder), device=device, compute_type=kind, cpu_threads=threads)

        def recognize(wave: np.ndarray) -> str:
            segments, _ = model.transcribe(wave, language="en", temperature=0.0, beam_size=beam)
            return "".join(segment.text for segment in segments)

        return recognize

    return load


def _lfm(cut: bool) -> Callable[[Path, str, int], Recognizer]:
    """LFM2-Audio with the patched package, in its default dtype, by upstream's recipe for speech to text."""

    def load(folder: Path, device: str, threads: int) -> Recognizer:
        from liquid_audio import LFM2AudioModel, LFM2AudioProcessor

        from harness.compare.hearing.cut import pieces
        from harness.speech import transcribe

        processor = LFM2AudioProcessor.from_pretrained(folder, device=device).eval()
        model = LFM2AudioModel.from_pretrained(folder, device=device).eval()

        def turn(wave: np.ndarray) -> str:
            return transcribe(processor, model, wave, 16_000, max_new_tokens=longest(len(wave) / 16_000)).text

        return (lambda wave: " ".join(map(turn, pieces(wave)))) if cut else turn

    return load


def longest(seconds: float) -> int:
    """Return how many tokens a turn may have: as many as in upstream's recipe, or more for speech that they would cut off."""
    return max(512, int(8 * seconds))


WHOLE, CUT = "whole file in one turn", "cut at pauses, 30 s at most"
ENGINES = {
    "openai-greedy": Engine("openai-whisper base", "greedy", _openai(None), "whisper", ALL),
    "openai-beam": Engine("openai-whisper base", "beam of 5", _openai(5), "whisper"),
    "faster-greedy": Engine("faster-whisper base", "greedy", _faster(1), "whisper", ALL, ("cpu", "cuda")),
    "faster-beam": Engine("faster-whisper base", "beam of 5", _faster(5), "whisper", (), ("cpu", "cuda")),
    # What may take all memory comes last.
    "tiny-cut": Engine("tiny checkpoint", CUT, _lfm(True), "tiny", ALL),
    "tiny-whole": Engine("tiny checkpoint", WHOLE, _lfm(False), "tiny", ALL),
    "lfm-cut": Engine("LFM2.5-Audio", CUT, _lfm(True), "lfm", ALL),
    "lfm-whole": Engine("LFM2.5-Audio", WHOLE, _lfm(False), "lfm", ALL),
}
