"""A user's program. mypy and pyright must accept each form of audio, and report each misuse: an ignore that nothing needs is an error."""

import array
import wave
from pathlib import Path
from typing import Any, cast

import librosa
import numpy as np
import numpy.typing as npt
import soundfile
import torch
from liquid_audio import ChatState, LFM2AudioModel, LFM2AudioProcessor, Waveform
from scipy.io import wavfile

RATE = 16_000
PCM: npt.NDArray[np.int16] = (8_000 * np.sin(np.arange(RATE) / 20)).astype(np.int16)
FLOATS: npt.NDArray[np.float64] = PCM / 32_768


def uses(chat: ChatState, path: str, row: dict[str, Any], own: Waveform) -> None:
    """Pass audio as libraries return it. gradio annotates its microphone without a dtype, and SciPy annotates nothing."""
    chat.add_audio(*soundfile.read(path))
    rate, samples = cast(tuple[int, npt.NDArray[np.int16]], wavfile.read(path))  # pyright: ignore[reportUnknownMemberType]
    chat.add_audio(samples, rate)
    loaded, loaded_rate = librosa.load(path, sr=None)
    chat.add_audio(loaded, int(loaded_rate))  # librosa annotates the rate as int | float
    with wave.open(path) as file:
        chat.add_audio(np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2), file.getframerate())
    microphone: tuple[int, np.ndarray] = (RATE, PCM)
    hertz, recorded = microphone
    chat.add_audio(recorded, hertz)
    chat.add_audio(row["audio"]["array"], row["audio"]["sampling_rate"])
    chat.add_audio(torch.zeros(2, RATE), RATE)
    chat.add_audio(array.array("h", PCM.tobytes()), RATE)
    chat.add_audio(array.array("d", FLOATS.tolist()), RATE)
    chat.add_audio([0.25] * RATE, RATE)
    chat.add_audio((0.25,) * RATE, RATE)
    for pcm in (PCM, PCM.astype(np.int8), PCM.astype(np.int32), PCM.astype(np.uint8)):
        chat.add_audio(pcm, RATE)
    for floats in (FLOATS, FLOATS.astype(np.float32), FLOATS.astype(np.float16)):
        chat.add_audio(floats, RATE)
    chat.add_audio(wave=own, sampling_rate=RATE)


def misuses(chat: ChatState, example: dict[str, Any], samples: npt.NDArray[np.float32]) -> None:
    silent: npt.NDArray[np.bool] = samples == 0
    spectrum: npt.NDArray[np.complex64] = np.zeros(16_000, np.complex64)
    # Their full scale is unknown.
    integers: list[int] = [0, 1]
    counts: npt.NDArray[np.int64] = np.arange(16_000)
    wide: npt.NDArray[np.uint16] = np.zeros(16_000, np.uint16)

    chat.add_audio("speech.wav", 16_000)  # type: ignore[arg-type]
    chat.add_audio(b"RIFF", 16_000)  # type: ignore[arg-type]
    chat.add_audio(Path("speech.wav"), 16_000)  # type: ignore[arg-type]
    chat.add_audio(example, 16_000)  # type: ignore[arg-type]
    chat.add_audio(spectrum, 16_000)  # type: ignore[arg-type]
    chat.add_audio(silent, 16_000)  # type: ignore[arg-type]
    chat.add_audio(integers, 16_000)  # type: ignore[arg-type]
    chat.add_audio([samples, samples], 16_000)  # type: ignore[list-item]
    chat.add_audio(counts, 16_000)  # type: ignore[arg-type]
    chat.add_audio(wide, 16_000)  # type: ignore[arg-type]
    chat.add_audio(memoryview(b"RIFF"), 16_000)  # type: ignore[arg-type]
    chat.add_audio((16_000, samples), 16_000)  # type: ignore[arg-type]
    chat.add_audio(None, 16_000)  # type: ignore[arg-type]
    chat.add_audio(samples, None)  # type: ignore[arg-type]
    chat.add_audio(samples, 16e3)  # type: ignore[arg-type]
    chat.add_audio(samples, "16000")  # type: ignore[arg-type]
    chat.add_audio(samples)  # type: ignore[call-arg]
    chat.add_audio(16_000, samples)  # type: ignore[arg-type]
    LFM2AudioProcessor.from_pretrained(Path("."), device=0)  # type: ignore[arg-type]
    LFM2AudioModel.from_pretrained(Path("."), device=0)  # type: ignore[arg-type]
