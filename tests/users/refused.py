"""A user's program with a mistake on each line that ends in a comment, which names its test."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from liquid_audio import ChatState, LFM2AudioModel, LFM2AudioProcessor


def misuse(chat: ChatState, example: dict[str, Any], samples: npt.NDArray[np.float32]) -> None:
    silent: npt.NDArray[np.bool] = samples == 0
    spectrum: npt.NDArray[np.complex64] = np.zeros(16_000, np.complex64)
    # Their full scale is unknown.
    integers: list[int] = [0, 1]
    counts: npt.NDArray[np.int64] = np.arange(16_000)
    wide: npt.NDArray[np.uint16] = np.zeros(16_000, np.uint16)

    chat.add_audio("speech.wav", 16_000)  # str
    chat.add_audio(b"RIFF", 16_000)  # bytes
    chat.add_audio(bytearray(b"RIFF"), 16_000)  # bytearray
    chat.add_audio(Path("speech.wav"), 16_000)  # path
    chat.add_audio(example, 16_000)  # dict
    chat.add_audio(spectrum, 16_000)  # complex
    chat.add_audio(silent, 16_000)  # bool
    chat.add_audio(None, 16_000)  # none
    chat.add_audio(["speech.wav"], 16_000)  # list-of-str
    chat.add_audio(integers, 16_000)  # list-of-int
    chat.add_audio([samples, samples], 16_000)  # list-of-arrays
    chat.add_audio([[0.0, 0.5], [0.5, 0.0]], 16_000)  # list-of-lists
    chat.add_audio(counts, 16_000)  # int64
    chat.add_audio(wide, 16_000)  # uint16
    chat.add_audio(memoryview(b"RIFF"), 16_000)  # buffer
    chat.add_audio((16_000, samples), 16_000)  # gradio-tuple-whole
    chat.add_audio(samples, "16000")  # rate-str
    chat.add_audio(samples, None)  # rate-none
    chat.add_audio(samples)  # rate-missing
    chat.add_audio(samples, sample_rate=16_000)  # rate-misspelt
    chat.add_audio(16_000, samples)  # swapped
    LFM2AudioProcessor.from_pretrained(Path("."), device=0)  # processor-device-int
    LFM2AudioModel.from_pretrained(Path("."), device=0)  # model-device-int
