"""A user's program. mypy and pyright must accept each form of audio, which is a function, and report each misuse at the end."""

import array
import wave
from pathlib import Path
from typing import Any, cast

import librosa
import numpy as np
import numpy.typing as npt
import soundfile
import torch
from liquid_audio import ChatState, LFM2AudioModel, LFM2AudioProcessor
from scipy.io import wavfile

RATE = 16_000
PCM: npt.NDArray[np.int16] = (8_000 * np.sin(np.arange(RATE) / 20)).astype(np.int16)
FLOATS: npt.NDArray[np.float64] = PCM / 32_768


def soundfile_read(chat: ChatState, path: str) -> None:
    chat.add_audio(*soundfile.read(path))


def scipy_wavfile(chat: ChatState, path: str) -> None:
    # SciPy has no type annotations.
    rate, samples = cast(tuple[int, npt.NDArray[np.int16]], wavfile.read(path))  # pyright: ignore[reportUnknownMemberType]
    chat.add_audio(samples, rate)


def librosa_load(chat: ChatState, path: str) -> None:
    samples, rate = librosa.load(path, sr=None)
    chat.add_audio(samples, int(rate))  # librosa annotates the rate as int | float


def wave_module(chat: ChatState, path: str) -> None:
    with wave.open(path) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, file.getnchannels())
        chat.add_audio(samples, file.getframerate())


def array_of_int16(chat: ChatState, path: str) -> None:
    with wave.open(path) as file:
        samples = array.array("h", file.readframes(file.getnframes()))
        chat.add_audio(samples, file.getframerate())


def array_of_doubles(chat: ChatState, path: str) -> None:
    chat.add_audio(array.array("d", FLOATS.tolist()), RATE)


def torch_channels_first(chat: ChatState, path: str) -> None:
    chat.add_audio(torch.zeros(2, RATE), RATE)


def gradio_microphone(chat: ChatState, path: str) -> None:
    microphone: tuple[int, np.ndarray] = (RATE, PCM)  # as gradio annotates it, without a dtype
    rate, samples = microphone
    chat.add_audio(samples, rate)


def gradio_microphone_typed(chat: ChatState, path: str) -> None:
    microphone: tuple[int, npt.NDArray[np.int16]] = (RATE, PCM)
    rate, samples = microphone
    chat.add_audio(samples, rate)


def datasets_row(chat: ChatState, path: str) -> None:
    row: dict[str, Any] = {"audio": {"array": FLOATS, "sampling_rate": RATE}}
    chat.add_audio(row["audio"]["array"], row["audio"]["sampling_rate"])


def list_of_floats(chat: ChatState, path: str) -> None:
    samples: list[float] = [0.25] * RATE
    chat.add_audio(samples, RATE)


def tuple_of_floats(chat: ChatState, path: str) -> None:
    samples: tuple[float, ...] = (0.25,) * RATE
    chat.add_audio(samples, RATE)


def numpy_int16(chat: ChatState, path: str) -> None:
    chat.add_audio(PCM, RATE)


def numpy_uint8(chat: ChatState, path: str) -> None:
    samples: npt.NDArray[np.uint8] = np.full(RATE, 128, np.uint8)
    chat.add_audio(samples, RATE)


def numpy_pcm(chat: ChatState, path: str) -> None:
    chat.add_audio(PCM.astype(np.int8), RATE)
    chat.add_audio(PCM.astype(np.int32), RATE)


def numpy_float64(chat: ChatState, path: str) -> None:
    chat.add_audio(FLOATS, RATE)


def numpy_float32(chat: ChatState, path: str) -> None:
    chat.add_audio(FLOATS.astype(np.float32), RATE)


def a_function_of_their_own(chat: ChatState, path: str) -> None:
    from liquid_audio import Waveform

    def say(samples: Waveform) -> None:
        chat.add_audio(samples, RATE)

    say(PCM)
    say([0.25] * RATE)


def misuses(chat: ChatState, example: dict[str, Any], samples: npt.NDArray[np.float32]) -> None:
    silent: npt.NDArray[np.bool] = samples == 0
    spectrum: npt.NDArray[np.complex64] = np.zeros(16_000, np.complex64)
    # Their full scale is unknown.
    integers: list[int] = [0, 1]
    counts: npt.NDArray[np.int64] = np.arange(16_000)
    wide: npt.NDArray[np.uint16] = np.zeros(16_000, np.uint16)

    chat.add_audio("speech.wav", 16_000)  # type: ignore[arg-type]
    chat.add_audio(b"RIFF", 16_000)  # type: ignore[arg-type]
    chat.add_audio(bytearray(b"RIFF"), 16_000)  # type: ignore[arg-type]
    chat.add_audio(Path("speech.wav"), 16_000)  # type: ignore[arg-type]
    chat.add_audio(example, 16_000)  # type: ignore[arg-type]
    chat.add_audio(spectrum, 16_000)  # type: ignore[arg-type]
    chat.add_audio(silent, 16_000)  # type: ignore[arg-type]
    chat.add_audio(None, 16_000)  # type: ignore[arg-type]
    chat.add_audio(["speech.wav"], 16_000)  # type: ignore[list-item]
    chat.add_audio(integers, 16_000)  # type: ignore[arg-type]
    chat.add_audio([samples, samples], 16_000)  # type: ignore[list-item]
    chat.add_audio([[0.0, 0.5], [0.5, 0.0]], 16_000)  # type: ignore[list-item]
    chat.add_audio(counts, 16_000)  # type: ignore[arg-type]
    chat.add_audio(wide, 16_000)  # type: ignore[arg-type]
    chat.add_audio(memoryview(b"RIFF"), 16_000)  # type: ignore[arg-type]
    chat.add_audio((16_000, samples), 16_000)  # type: ignore[arg-type]
    chat.add_audio(samples, "16000")  # type: ignore[arg-type]
    chat.add_audio(samples, None)  # type: ignore[arg-type]
    chat.add_audio(samples)  # type: ignore[call-arg]
    chat.add_audio(samples, sample_rate=16_000)  # type: ignore[call-arg]
    chat.add_audio(16_000, samples)  # type: ignore[arg-type]
    LFM2AudioProcessor.from_pretrained(Path("."), device=0)  # type: ignore[arg-type]
    LFM2AudioModel.from_pretrained(Path("."), device=0)  # type: ignore[arg-type]
