"""Audio exactly as real callers hold it: what each library returns, passed on unchanged, becomes the spoken words.

The mel is compared with that of the same file, read by soundfile in float32 and mixed down to a tensor of shape (1, samples).
"""

import wave
from array import array

import datasets
import librosa
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from scipy.io import wavfile

from harness.speech import CLIPS, clips, mel

# Every format, including Opus, supports 48 kHz, and every test resamples. The two channels of the stereo clip differ.
SPOKEN = {
    "mono": next(clip for clip in clips() if clip.id == "human-ledger-48k-mono"),
    "stereo": next(clip for clip in clips() if clip.id == "slt-thanks-48k-stereo"),
}
RATE = 48_000
READS = {
    "float64": {},
    "always_2d": {"always_2d": True},
    **{dtype: {"dtype": dtype} for dtype in ("float32", "int16", "int32")},
}

every_clip = pytest.mark.parametrize("spoken", SPOKEN)
pytestmark = pytest.mark.host


@pytest.fixture
def hears(processor, transcribes):
    """Return a check that the arguments of `add_audio` become the clip's words, and that their mel is that of these samples."""

    def check(spoken, given, samples, rate=RATE, atol=0.0):
        expected = mel(processor, torch.from_numpy(samples).reshape(1, -1), rate)
        transcribes(SPOKEN[spoken].text, *given, expected_mel=expected, atol=atol)

    return check


def pcm(spoken, dtype):
    """Return the clip's samples in a dtype of WAV files."""
    samples, _ = soundfile.read(CLIPS / SPOKEN[spoken].file, dtype="float64" if dtype == "uint8" else dtype)
    # 8-bit samples are coarse, so they are louder.
    return (samples * 1.4 * 128 + 128).astype(np.uint8) if dtype == "uint8" else samples


def mixed(path):
    """Return the file's samples in float32, mixed down."""
    return soundfile.read(path, dtype="float32", always_2d=True)[0].mean(1)


@every_clip
@pytest.mark.parametrize("container", ["WAV", "OGG"])
@pytest.mark.parametrize("read", READS, ids="soundfile-{}".format)
def test_soundfile_output_transcribes_correctly(hears, tmp_path, container, read, spoken):
    path = tmp_path / f"speech.{container.lower()}"
    soundfile.write(path, pcm(spoken, "float32"), RATE, {"WAV": "PCM_16", "OGG": "VORBIS"}[container])
    # Vorbis decodes to floating point. int16 rounds that, and the logarithm of nearly silent bins magnifies it to 0.06 (measured).
    rounds = container == "OGG" and read.startswith("int")
    hears(spoken, soundfile.read(path, **READS[read]), mixed(path), atol=0.2 if rounds else 0.0)


# SciPy does not know the chunk that soundfile adds to floating point.
@pytest.mark.filterwarnings("ignore:Chunk:scipy.io.wavfile.WavFileWarning")
@every_clip
@pytest.mark.parametrize(
    ("subtype", "endian", "dtype"),
    [
        *[("PCM_U8", "<", "u1"), ("FLOAT", "<", "f4"), ("DOUBLE", "<", "f8"), ("PCM_16", "<", "i2"), ("PCM_16", ">", "i2")],
        # 24-bit samples are in the upper bits of 32, so full scale is that of int32.
        *[("PCM_24", "<", "i4"), ("PCM_24", ">", "i4"), ("PCM_32", "<", "i4")],
    ],
    ids=lambda part: {"<": "little", ">": "big"}.get(part, part),
)
def test_scipy_output_transcribes_correctly(hears, tmp_path, subtype, endian, dtype, spoken):
    path = tmp_path / "speech.wav"
    loudness = 1.4 if dtype == "u1" else 1.0  # 8-bit samples are coarse
    soundfile.write(path, pcm(spoken, "float32") * loudness, RATE, subtype, {"<": "LITTLE", ">": "BIG"}[endian])
    rate, samples = wavfile.read(path)
    assert samples.dtype == endian + dtype
    hears(spoken, (samples, rate), mixed(path))


@every_clip
@pytest.mark.parametrize("sr", [None, 16_000], ids=["own-rate", "16k"])
@pytest.mark.parametrize("mono", [True, False], ids=["librosa-mixed", "librosa-channels"])
def test_librosa_output_transcribes_correctly(hears, mono, sr, spoken):
    path = CLIPS / SPOKEN[spoken].file
    samples, rate = librosa.load(path, sr=sr, mono=mono)
    # If librosa resampled the file, add_audio would give another mel for the file itself, but the same words.
    hears(spoken, (samples, rate), np.atleast_2d(samples).mean(0) if sr else mixed(path), rate)


# torchaudio.load and save need torchcodec, which liquid-audio does not need.
@every_clip
@pytest.mark.parametrize("dtype", ["float32", "float64"], ids="torchaudio-resampled-{}".format)
def test_torchaudio_output_transcribes_correctly(hears, dtype, spoken):
    samples = torch.from_numpy(pcm(spoken, dtype)).reshape(-1, SPOKEN[spoken].channels).T
    wave = torchaudio.functional.resample(samples, RATE, 24_000)
    # One channel of float64 is resampled in float64, as in 1.3.0, which moves the mel by 1.4e-4 (measured).
    hears(spoken, (wave, 24_000), wave.float().numpy().mean(0), 24_000, atol=1e-2 if dtype == "float64" else 0.0)


@pytest.mark.parametrize(
    ("spoken", "container"),
    [("mono", "frombuffer"), ("mono", "array"), ("stereo", "frombuffer")],
    ids=["wave-mono-frombuffer", "wave-mono-array", "wave-stereo-frombuffer"],
)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32"])
def test_wave_module_output_transcribes_correctly(hears, tmp_path, dtype, spoken, container):
    path = tmp_path / "speech.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((SPOKEN[spoken].channels, np.dtype(dtype).itemsize, RATE, 0, "NONE", ""))
        file.writeframes(pcm(spoken, dtype).tobytes())
    with wave.open(str(path)) as file:
        frames, channels, rate = file.readframes(file.getnframes()), file.getnchannels(), file.getframerate()
    if container == "array":
        samples = array(np.dtype(dtype).char, frames)
    else:
        samples = np.frombuffer(frames, dtype)
        samples = samples if channels == 1 else samples.reshape(-1, channels)
    hears(spoken, (samples, rate), mixed(path))


@pytest.mark.parametrize("style", [None, "numpy", "torch"], ids=lambda style: f"datasets-{style or 'list'}")
@pytest.mark.parametrize("spoken", [*SPOKEN, "stereo-channels-first"])
def test_datasets_row_transcribes_correctly(hears, spoken, style):
    spoken, _, channels_first = spoken.partition("-")
    samples = pcm(spoken, "float32")
    row = {"array": samples.T if channels_first else samples, "sampling_rate": RATE}
    audio = datasets.Dataset.from_dict({"audio": [row]}).with_format(style)[0]["audio"]
    # A list of lists may also be a batch, so the caller makes an array if it means channels.
    array = np.asarray(audio["array"]) if (spoken, style) == ("stereo", None) else audio["array"]
    hears(spoken, (array, audio["sampling_rate"]), mixed(CLIPS / SPOKEN[spoken].file))
