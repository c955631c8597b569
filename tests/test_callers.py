"""Audio exactly as real callers hold it: what each library returns, passed on unchanged, becomes the spoken words.

The mel is compared with that of the same file, read by soundfile in float32 and mixed down to a tensor of shape (1, samples).
"""

import io
import wave
from array import array

import librosa
import liquid_audio
import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from scipy.io import wavfile

from harness.speech import CLIPS, clips, normalise, transcribe

# Every format, including Opus, supports 48 kHz, and every test resamples. The two channels of the stereo clip differ.
SPOKEN = {
    "mono": next(clip for clip in clips() if clip.id == "human-ledger-48k-mono"),
    "stereo": next(clip for clip in clips() if clip.id == "slt-thanks-48k-stereo"),
}
RATE = 48_000
LOUDER = 1.4  # for 8-bit samples, which are coarse

READS = {
    "float64": {},
    "always_2d": {"always_2d": True},
    "float32": {"dtype": "float32"},
    "int16": {"dtype": "int16"},
    "int32": {"dtype": "int32"},
}
# Vorbis decodes to floating point. int16 rounds that, and in nearly silent bins the logarithm magnifies the error, to 0.06
# (measured).
VORBIS_INT16_ATOL = 0.2

every_clip = pytest.mark.parametrize("spoken", SPOKEN)
pytestmark = pytest.mark.host


@pytest.fixture
def hears(processor, models):
    """Return a check that transcribes the arguments of `add_audio`, and compares the mel with that of the canonical form."""

    def check(spoken, given, samples, rate=RATE, atol=0.0):
        canonical = liquid_audio.ChatState(processor, dtype=torch.float32)
        canonical.add_audio(torch.from_numpy(samples).reshape(1, -1), rate)
        heard = transcribe(processor, models(torch.float32), *given, torch.float32)
        torch.testing.assert_close(heard.mel, canonical.audio_in.cpu(), rtol=0.0, atol=atol)
        assert normalise(heard.text) == SPOKEN[spoken].text

    return check


def pcm(spoken, dtype):
    """Return the clip's samples in a dtype of WAV files."""
    samples, _ = soundfile.read(CLIPS / SPOKEN[spoken].file, dtype="float64" if dtype == "uint8" else dtype)
    return (samples * LOUDER * 128 + 128).astype(np.uint8) if dtype == "uint8" else samples


def mixed(path):
    """Return the file's samples in float32, mixed down."""
    return soundfile.read(path, dtype="float32", always_2d=True)[0].mean(1)


@every_clip
@pytest.mark.parametrize("container", ["WAV", "OGG"])
@pytest.mark.parametrize("read", READS, ids="soundfile-{}".format)
def test_soundfile_output_transcribes_correctly(hears, tmp_path, container, read, spoken):
    path = tmp_path / f"speech.{container.lower()}"
    soundfile.write(path, pcm(spoken, "float32"), RATE, {"WAV": "PCM_16", "OGG": "VORBIS"}[container])
    lossy = container == "OGG" and read.startswith("int")
    hears(spoken, soundfile.read(path, **READS[read]), mixed(path), atol=VORBIS_INT16_ATOL if lossy else 0.0)


@every_clip
@pytest.mark.parametrize("mmap", [False, True], ids=["read", "mmap"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"], ids="scipy-{}".format)
def test_scipy_output_transcribes_correctly(hears, tmp_path, dtype, mmap, spoken):
    path = tmp_path / "speech.wav"
    wavfile.write(path, RATE, pcm(spoken, dtype))
    rate, samples = wavfile.read(path, mmap=mmap)
    assert samples.dtype == dtype
    hears(spoken, (samples, rate), mixed(path))


@every_clip
@pytest.mark.parametrize(
    ("subtype", "endian", "dtype"),
    [("PCM_24", "LITTLE", "<i4"), ("PCM_16", "BIG", ">i2"), ("PCM_24", "BIG", ">i4")],
    ids=["scipy-24bit", "scipy-rifx-16bit", "scipy-rifx-24bit"],
)
def test_scipy_read_only_formats_transcribe_correctly(hears, tmp_path, subtype, endian, dtype, spoken):
    path = tmp_path / "speech.wav"
    soundfile.write(path, pcm(spoken, "float32"), RATE, subtype, endian)
    rate, samples = wavfile.read(path)
    assert samples.dtype == dtype
    # 24-bit samples are in the upper bits of 32, so full scale is that of int32.
    assert subtype == "PCM_16" or not (samples & 0xFF).any()
    hears(spoken, (samples, rate), mixed(path))


@every_clip
@pytest.mark.parametrize("sr", [None, 16_000], ids=["own-rate", "16k"])
@pytest.mark.parametrize("mono", [True, False], ids=["librosa-mixed", "librosa-channels"])
def test_librosa_output_transcribes_correctly(hears, mono, sr, spoken):
    path = CLIPS / SPOKEN[spoken].file
    samples, rate = librosa.load(path, sr=sr, mono=mono)
    # If librosa resampled the file, add_audio would give another mel for the file itself, but the same words.
    hears(spoken, (samples, rate), np.atleast_2d(samples).mean(0) if sr else mixed(path), rate)


# torchaudio.load and save need torchcodec, which liquid-audio does not need, so these tensors are computed by torchaudio.
TORCHAUDIO = {
    "resampled": lambda wave: (torchaudio.functional.resample(wave, RATE, 24_000), 24_000),
    "resampled-float64": lambda wave: (
        torchaudio.transforms.Resample(RATE, 24_000, dtype=torch.float64)(wave.double()),
        24_000,
    ),
    "mu-law": lambda wave: (torchaudio.transforms.MuLawDecoding()(torchaudio.transforms.MuLawEncoding()(wave)), RATE),
    "louder": lambda wave: (torchaudio.transforms.Vol(3.0, "db")(wave), RATE),
}


@every_clip
@pytest.mark.parametrize("source", TORCHAUDIO, ids="torchaudio-{}".format)
def test_torchaudio_output_transcribes_correctly(hears, source, spoken):
    wave, rate = TORCHAUDIO[source](torch.from_numpy(pcm(spoken, "float32")).reshape(-1, SPOKEN[spoken].channels).T)
    assert wave.shape[0] == SPOKEN[spoken].channels
    # One channel of float64 is resampled in float64, as in 1.3.0, which moves the mel by 1.4e-4 (measured).
    hears(spoken, (wave, rate), wave.float().numpy().mean(0), rate, atol=1e-2 if wave.dtype == torch.float64 else 0.0)


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


@every_clip
def test_gradio_microphone_transcribes_correctly(hears, spoken):
    microphone = (RATE, pcm(spoken, "int16"))
    rate, samples = microphone
    hears(spoken, (samples, rate), mixed(CLIPS / SPOKEN[spoken].file))


def dataset_row(audio, style=None):
    """Return a dataset of one row, in one of the formats of datasets: None, "numpy" or "torch"."""
    import datasets

    return datasets.Dataset.from_dict({"audio": [audio]}).with_format(style)


@pytest.mark.parametrize("style", ["list", "numpy", "torch"], ids="datasets-{}".format)
@pytest.mark.parametrize("spoken", [*SPOKEN, "stereo-channels-first"])
def test_datasets_row_transcribes_correctly(hears, spoken, style):
    spoken, _, channels_first = spoken.partition("-")
    samples = pcm(spoken, "float32")
    row = {"array": samples.T if channels_first else samples, "sampling_rate": RATE}
    audio = dataset_row(row, None if style == "list" else style)[0]["audio"]
    # A list of lists may also be a batch, so the caller makes an array if it means channels.
    array = np.asarray(audio["array"]) if (spoken, style) == ("stereo", "list") else audio["array"]
    hears(spoken, (array, audio["sampling_rate"]), mixed(CLIPS / SPOKEN[spoken].file))


@every_clip
def test_datasets_encoded_bytes_transcribe_correctly(hears, spoken):
    # Without torchcodec, which liquid-audio does not need, datasets.Audio can neither encode nor decode.
    import datasets

    path = CLIPS / SPOKEN[spoken].file
    rows = dataset_row({"bytes": path.read_bytes(), "path": path.name}).cast_column("audio", datasets.Audio(decode=False))
    hears(spoken, soundfile.read(io.BytesIO(rows[0]["audio"]["bytes"])), mixed(path))
