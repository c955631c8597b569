"""`ChatState.add_audio` accepts audio, rejects other values with a clear error, and does not change the caller's data."""

import array
import ctypes
import mmap
import subprocess
import sys
from collections import deque
from pathlib import Path, PurePosixPath

import liquid_audio
import numpy as np
import pytest
import torch
import torchaudio
from torch._subclasses import FakeTensorMode

from harness.expect import refused
from harness.speech import digest

RATE = 16_000
SPEECH = torch.linspace(-0.5, 0.5, 8_000).sin().reshape(1, -1)
PCM = (SPEECH[0].numpy() * 32767).astype(np.int16)
SCALED = torch.from_numpy(PCM / np.float32(32768))[None]

CONTAINERS = {"numpy": torch.Tensor.numpy, "torch": torch.clone}
SHAPES = {"0d": (), "1x1xn": (1, 1, 8_000), "9xn": (9, 8_000), "9x10": (9, 10)}
# Dtypes without a full scale, or without numbers.
DTYPES = {
    "bool": SPEECH > 0,
    "int64": (SPEECH * 2**30).to(torch.int64),
    "uint16": (SPEECH * 2**15 + 2**15).int().to(torch.uint16),
    "complex64": SPEECH.to(torch.complex64),
}
# Tensors of shape (1, samples) that 1.3.0 accepts. The verdict compares their bits between the trees.
TAKEN = {
    "float32": SPEECH,
    "float64": SPEECH.double(),
    "strided": SPEECH.repeat_interleave(2, 1)[:, ::2],
    "requires_grad": SPEECH.clone().requires_grad_(),
    "silence": torch.zeros_like(SPEECH),
    "clipped": (SPEECH * 100).clamp(-1, 1),
    "offset": SPEECH + 0.5,
    "loud": SPEECH * 1e15,
}
HALVES = {"float16": torch.float16, "bfloat16": torch.bfloat16}
# The same samples as SCALED, in forms of NumPy and Python.
ARRAYS = {
    "big-endian": lambda folder: PCM.astype(">i2"),
    "big-endian-float": lambda folder: SCALED[0].numpy().astype(">f8"),
    "reversed-twice": lambda folder: PCM[::-1].copy()[::-1],
    "every-second": lambda folder: PCM.repeat(2)[::2],
    "fortran": lambda folder: np.asfortranarray(np.stack([PCM, PCM])),
    "read-only": lambda folder: np.frombuffer(PCM.tobytes(), np.int16),
    "memmap": lambda folder: _memmap(folder / "samples", PCM),
    "array": lambda folder: array.array("h", PCM.tolist()),
    "array-of-floats": lambda folder: array.array("f", SCALED[0].tolist()),
    "list": lambda folder: SCALED[0].tolist(),
    "tuple": lambda folder: tuple(SCALED[0].tolist()),
    "strided-tensor": lambda folder: torch.from_numpy(PCM.repeat(2))[::2],
}


class Segment:
    """Audio like pydub's AudioSegment: it has a length, and each item is another segment."""

    def __len__(self):
        return 60_000

    def __getitem__(self, index):
        return Segment()


# Values that are not samples. Buffers are among them, because they do not say the dtype of their samples.
OTHERS = {
    "str": "speech.wav",
    "path": PurePosixPath("speech.wav"),
    "bytes": b"RIFF",
    "bytearray": bytearray(b"RIFF"),
    "memoryview": memoryview(PCM),
    "mmap": mmap.mmap(-1, PCM.nbytes),
    "ctypes": (ctypes.c_int16 * len(PCM))(*PCM),
    "AudioSegment": Segment(),
    "dict": {"array": PCM, "sampling_rate": RATE},
    "microphone": (RATE, PCM),
    "chunks": [PCM, PCM[1:]],
    "batch": [PCM] * 3,
    "batch-of-tensors": (SPEECH[0], SPEECH[0]),
    "batch-of-lists": [SPEECH[0].tolist()] * 2,
    "gradients": list(SPEECH[0, :8].clone().requires_grad_()),
    "queue": deque(SPEECH[0, :8].tolist()),
    "masked": np.ma.array(PCM),
    "number": RATE,
    "none": None,
}
WAYS_OUT = (
    r"read a file or io\.BytesIO with soundfile\.read, raw bytes with np\.frombuffer\(data, np\.int16\) .+ with NumPy, .+"
    r'\["array"\] and \["sampling_rate"\] or its samples. \.data and \.sample_rate, .+ np\.reshape\(s\.get_array_of_samples'
)


def _memmap(file, samples):
    mapped = np.memmap(file, samples.dtype, "w+", shape=samples.shape)
    mapped[:] = samples
    return mapped


@pytest.fixture
def chat(processor):
    return liquid_audio.ChatState(processor, dtype=torch.float32)


def mel_of(processor, wave, rate=RATE):
    """Return the mel of audio in a new chat."""
    chat = liquid_audio.ChatState(processor, dtype=torch.float32)
    chat.add_audio(wave, rate)
    return chat.audio_in


@pytest.mark.core
@pytest.mark.parametrize("form", ARRAYS)
def test_array_layout_does_not_change_mel(processor, tmp_path, form):
    mel = mel_of(processor, ARRAYS[form](tmp_path))
    torch.testing.assert_close(mel, mel_of(processor, SCALED), rtol=0, atol=0)


@pytest.mark.core
def test_second_clip_is_appended_after_the_first(processor, chat, record_property):
    for wave in (SPEECH, SPEECH[:, 4_000:]):
        chat.add_audio(wave, RATE)
    record_property("digest", digest(chat.audio_in, chat.modality_flag))
    alone = [mel_of(processor, wave) for wave in (SPEECH, SPEECH[:, 4_000:])]
    assert chat.audio_in.equal(torch.cat(alone, 1))
    assert chat.audio_in_lens.tolist() == [mel.shape[1] for mel in alone]
    embeddings = sum(-(mel.shape[1] // -8) for mel in alone)
    assert (chat.modality_flag == liquid_audio.LFMModality.AUDIO_IN).sum() == embeddings


@pytest.mark.accelerator
@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_device_tensor_gives_the_same_mel(processor, device, dtype):
    wave = (SCALED if dtype == "float32" else torch.from_numpy(PCM)).to(device)
    torch.testing.assert_close(mel_of(processor, wave), mel_of(processor, SCALED), rtol=0, atol=0)


@pytest.mark.core
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_ambiguous_shape_raises_value_error(chat, container, shape):
    with refused(ValueError, r"^expected \(samples,\) or up to 8 channels on either axis, got \(.*\): mix down first$"):
        chat.add_audio(CONTAINERS[container](torch.zeros(SHAPES[shape])), RATE)


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_dtype_without_full_scale_raises_type_error(chat, container, dtype):
    with refused(TypeError, rf"^expected floating point samples in \[-1, 1\] or PCM of 8, 16 or 32 bits, got torch.{dtype}$"):
        chat.add_audio(CONTAINERS[container](DTYPES[dtype]), RATE)


def test_list_of_integers_raises_type_error(chat):
    with refused(TypeError, r"^expected floating point samples in \[-1, 1\] or PCM of 8, 16 or 32 bits, got torch.int64$"):
        chat.add_audio(PCM.tolist(), RATE)


@pytest.mark.core
@pytest.mark.parametrize("other", OTHERS)
def test_non_audio_raises_type_error_with_alternatives(chat, other):
    kind = type(OTHERS[other]).__name__
    with refused(TypeError, rf"^expected samples as .+, then their rate, got {kind}: {WAYS_OUT}"):
        chat.add_audio(OTHERS[other], RATE)


@pytest.mark.core
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 319])
@pytest.mark.parametrize("container", CONTAINERS)
def test_audio_below_20_ms_raises_value_error(chat, container, samples):
    with refused(ValueError, rf"^expected at least 20ms, got {samples} samples at {RATE}Hz: join it or drop it$"):
        chat.add_audio(CONTAINERS[container](SPEECH[:, :samples]), RATE)


@pytest.mark.core
@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)], ids=str)
def test_empty_audio_raises_value_error(chat, shape):
    with refused(ValueError, "^expected at least 20ms, got 0 samples at 48000Hz: "):
        chat.add_audio(np.zeros(shape, np.float32), 48_000)


@pytest.mark.core
@pytest.mark.parametrize(("samples", "rate"), [(320, RATE), (160, 8_000), (440, 22_050), (880, 44_100), (3_517, 176_400)])
def test_audio_of_20_ms_is_accepted(chat, record_property, samples, rate):
    chat.add_audio(SPEECH[:, :samples], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in_lens.tolist() == [3]
    assert chat.audio_in.abs().max() > 0


@pytest.mark.core
@pytest.mark.parametrize(("samples", "rate"), [(159, 8_000), (439, 22_050), (879, 44_100), (3_516, 176_400)])
def test_audio_below_20_ms_at_other_rates_raises_value_error(chat, samples, rate):
    with refused(ValueError, rf"^expected at least 20ms, got {samples} samples at {rate}Hz: "):
        chat.add_audio(SPEECH[:, :samples], rate)


@pytest.mark.core
@pytest.mark.parametrize(
    "wave", [SPEECH[:, :319], SPEECH.long(), [SPEECH[0], SPEECH[0]], SPEECH[None]], ids=["short", "int64", "batch", "3-D"]
)
def test_refused_audio_leaves_chat_unchanged(chat, wave):
    chat.add_audio(SPEECH, RATE)
    before = {name: chat[name] for name in chat}
    with pytest.raises((TypeError, ValueError)):
        chat.add_audio(wave, RATE)
    assert all(chat[name].equal(before[name]) for name in chat)


@pytest.mark.core
@pytest.mark.parametrize(
    "rate",
    [16_000.0, np.int64(16_000), np.int16(16_000), np.float16(16_000), np.float32(16_000), torch.tensor(16_000)],
    ids=lambda r: type(r).__name__,
)
def test_whole_number_types_are_sampling_rates(processor, rate):
    assert mel_of(processor, SPEECH, rate).equal(mel_of(processor, SPEECH))


@pytest.mark.parametrize("rate", [15_950, 16_050])
def test_sampling_rate_near_16_khz_is_resampled(processor, rate):
    resampled = torchaudio.functional.resample(SPEECH.to(processor.device), rate, RATE)
    assert mel_of(processor, SPEECH, rate).equal(mel_of(processor, resampled))


@pytest.mark.core
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_waveform_is_resampled_on_the_processor_device(chat, device, monkeypatch, rate):
    seen, resample = [], torchaudio.functional.resample

    def spy(waveform, *args):
        seen.append(waveform.device.type)
        return resample(waveform, *args)

    monkeypatch.setattr(torchaudio.functional, "resample", spy)
    chat.add_audio(SPEECH, rate)
    assert seen == [device.type]


def test_multichannel_float64_is_mixed_in_float32(processor):
    stereo = torch.cat([SPEECH, SPEECH.flip(1) / 7]).double() / 3  # more digits than float32 holds
    assert mel_of(processor, stereo).equal(mel_of(processor, stereo.float()))


@pytest.mark.core
def test_lowest_sampling_rate_is_accepted(chat, record_property):
    chat.add_audio(SPEECH[:, :2], 2)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in_lens.tolist() == [101]


@pytest.mark.host
def test_fake_tensor_gives_feature_shape(processor):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        mel = mel_of(processor, mode.from_tensor(SPEECH))
    assert mel.shape == (128, 51)


@pytest.mark.filterwarnings("ignore:There is a performance drop because:UserWarning")
@pytest.mark.host
def test_vmap_gives_features_per_clip(processor):
    waves = torch.stack([SPEECH, SPEECH.flip(1)])
    mels = torch.vmap(lambda wave: mel_of(processor, wave))(waves)
    for wave, mel in zip(waves, mels, strict=True):
        torch.testing.assert_close(mel, mel_of(processor, wave))


@pytest.mark.host
def test_stereo_keeps_both_channels_under_python_O(checkpoint):
    program = f"""
import pathlib, sys, torch
sys.path.insert(0, {str(Path(liquid_audio.__file__).parent.parent)!r})
from liquid_audio import ChatState, LFM2AudioProcessor
processor = LFM2AudioProcessor.from_pretrained(pathlib.Path({str(checkpoint)!r}), device="cpu")
stereo = torch.randn(2, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
stereo_chat, mono_chat = ChatState(processor), ChatState(processor)
stereo_chat.add_audio(stereo, 16_000)
mono_chat.add_audio(stereo.mean(0, keepdim=True), 16_000)
sys.exit(0 if stereo_chat.audio_in.equal(mono_chat.audio_in) else 3)
"""
    subprocess.run([sys.executable, "-O", "-c", program], check=True)


@pytest.mark.core
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_add_audio_does_not_modify_input(fresh, device, container, mode):
    getattr(fresh.to(device), mode)()
    wave = CONTAINERS[container](SPEECH.clone())
    mel_of(fresh, wave)
    assert torch.as_tensor(wave).equal(SPEECH)


@pytest.mark.host
def test_training_mode_adds_dither(fresh):
    torch.manual_seed(0)
    mel = mel_of(fresh.train(), SPEECH / 1_000)
    torch.manual_seed(0)
    dithered = SPEECH / 1_000 + fresh.audio.featurizer.dither * torch.randn_like(SPEECH)
    assert mel.equal(mel_of(fresh.eval(), dithered))
    assert not mel.equal(mel_of(fresh, SPEECH / 1_000))


@pytest.mark.core
@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_mono_float_tensor_mel_is_bit_identical(chat, record_property, rate, form):
    chat.add_audio(TAKEN[form], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in.shape == (128, {16_000: 51, 22_050: 37}[rate])
    assert chat.audio_in.isfinite().all()


@pytest.mark.core
@pytest.mark.parametrize("rate", [16_000, 22_050])
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_resampled_as_float32(processor, dtype, rate):
    wave = SPEECH.to(HALVES[dtype])
    torch.testing.assert_close(mel_of(processor, wave, rate), mel_of(processor, wave.float(), rate), rtol=0, atol=0)
