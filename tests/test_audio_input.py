"""`ChatState.add_audio` accepts audio, rejects other values with a clear error, and does not change the caller's data."""

import array
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

from harness.speech import digest, mel

RATE = 16_000
SPEECH = torch.linspace(-0.5, 0.5, 8_000).sin().reshape(1, -1)
PCM = (SPEECH[0].numpy() * 32767).astype(np.int16)
SCALED = torch.from_numpy(PCM / np.float32(32768))[None]

CONTAINERS = {"numpy": torch.Tensor.numpy, "torch": torch.clone}
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
    "loud": SPEECH * 1e15,
}
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


# Values that are not samples. A buffer does not say the dtype of its samples.
OTHERS = {
    "str": "speech.wav",
    "path": PurePosixPath("speech.wav"),
    "bytes": b"RIFF",
    "memoryview": memoryview(PCM),
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
NO_FULL_SCALE = r"^expected floating point samples in \[-1, 1\] or PCM of 8, 16 or 32 bits, got torch\."
WAYS_OUT = (
    r"read a file or io\.BytesIO with soundfile\.read, raw bytes with np\.frombuffer\(data, np\.int16\) or their own dtype, "
    r"reshape interleaved channels to \(-1, channels\), join or stack with NumPy, .+"
    r'\["array"\] and \["sampling_rate"\] or its samples. \.data and \.sample_rate, .+ np\.reshape\(s\.get_array_of_samples'
)


def _memmap(file, samples):
    mapped = np.memmap(file, samples.dtype, "w+", shape=samples.shape)
    mapped[:] = samples
    return mapped


@pytest.fixture
def chat(processor):
    return liquid_audio.ChatState(processor, dtype=torch.float32)


@pytest.mark.core
@pytest.mark.parametrize("form", ARRAYS)
def test_array_layout_does_not_change_mel(processor, tmp_path, form):
    torch.testing.assert_close(mel(processor, ARRAYS[form](tmp_path), RATE), mel(processor, SCALED, RATE), rtol=0, atol=0)


@pytest.mark.core
def test_second_clip_is_appended_after_the_first(processor, chat, record_property):
    for wave in (SPEECH, SPEECH[:, 4_000:]):
        chat.add_audio(wave, RATE)
    record_property("digest", digest(chat.audio_in, chat.modality_flag))
    alone = [mel(processor, wave, RATE) for wave in (SPEECH, SPEECH[:, 4_000:])]
    assert chat.audio_in.cpu().equal(torch.cat(alone, 1))
    assert chat.audio_in_lens.tolist() == [part.shape[1] for part in alone]
    embeddings = sum(-(part.shape[1] // -8) for part in alone)
    assert (chat.modality_flag == liquid_audio.LFMModality.AUDIO_IN).sum() == embeddings


@pytest.mark.accelerator
@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_device_tensor_gives_the_same_mel(processor, device, dtype):
    wave = (SCALED if dtype == "float32" else torch.from_numpy(PCM)).to(device)
    torch.testing.assert_close(mel(processor, wave, RATE), mel(processor, SCALED, RATE), rtol=0, atol=0)


@pytest.mark.core
@pytest.mark.parametrize("shape", [(), (1, 1, 8_000), (9, 8_000), (9, 10)], ids=str)
@pytest.mark.parametrize("container", CONTAINERS)
def test_ambiguous_shape_raises_value_error(chat, container, shape):
    expected = r"^expected \(samples,\) or up to 8 channels on either axis, got \(.*\): mix down first$"
    with pytest.raises(ValueError, match=expected):
        chat.add_audio(CONTAINERS[container](torch.zeros(shape)), RATE)


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_dtype_without_full_scale_raises_type_error(chat, container, dtype):
    with pytest.raises(TypeError, match=NO_FULL_SCALE + f"{dtype}$"):
        chat.add_audio(CONTAINERS[container](DTYPES[dtype]), RATE)


def test_list_of_integers_raises_type_error(chat):
    with pytest.raises(TypeError, match=NO_FULL_SCALE + "int64$"):
        chat.add_audio(PCM.tolist(), RATE)


@pytest.mark.core
@pytest.mark.parametrize("other", OTHERS)
def test_non_audio_raises_type_error_with_alternatives(chat, other):
    kind = type(OTHERS[other]).__name__
    with pytest.raises(TypeError, match=rf"^expected samples as .+, then their rate, got {kind}: {WAYS_OUT}"):
        chat.add_audio(OTHERS[other], RATE)


@pytest.mark.core
@pytest.mark.parametrize(
    ("samples", "rate"),
    [(n, RATE) for n in (0, 1, 159, 160, 319)] + [(159, 8_000), (439, 22_050), (879, 44_100), (3_516, 176_400)],
)
@pytest.mark.parametrize("container", CONTAINERS)
def test_audio_below_20_ms_raises_value_error(chat, container, samples, rate):
    with pytest.raises(ValueError, match=rf"^expected at least 20ms, got {samples} samples at {rate}Hz: join it or drop it$"):
        chat.add_audio(CONTAINERS[container](SPEECH[:, :samples]), rate)


@pytest.mark.core
@pytest.mark.parametrize("shape", [(0,), (0, 2), (2, 0)], ids=str)
def test_empty_audio_raises_value_error(chat, shape):
    with pytest.raises(ValueError, match=r"^expected at least 20ms, got 0 samples at 48000Hz: "):
        chat.add_audio(np.zeros(shape, np.float32), 48_000)


@pytest.mark.core
@pytest.mark.parametrize(
    ("samples", "rate", "frames"),
    [(320, RATE, 3), (160, 8_000, 3), (440, 22_050, 3), (880, 44_100, 3), (3_517, 176_400, 3), (2, 2, 101)],
)
def test_audio_of_20_ms_is_accepted(chat, record_property, samples, rate, frames):
    chat.add_audio(SPEECH[:, :samples], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in_lens.tolist() == [frames]
    assert chat.audio_in.abs().max() > 0


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
    assert mel(processor, SPEECH, rate).equal(mel(processor, SPEECH, RATE))


@pytest.mark.core
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_waveform_is_resampled_on_the_processor_device(chat, device, monkeypatch, rate):
    seen, resample = [], torchaudio.functional.resample
    monkeypatch.setattr(
        torchaudio.functional, "resample", lambda wave, *args: seen.append(wave.device.type) or resample(wave, *args)
    )
    chat.add_audio(SPEECH, rate)
    assert seen == [device.type]


@pytest.mark.parametrize("rate", [15_950, 16_050])
def test_sampling_rate_near_16_khz_is_resampled(processor, rate):
    resampled = torchaudio.functional.resample(SPEECH.to(processor.device), rate, RATE)
    assert mel(processor, SPEECH, rate).equal(mel(processor, resampled, RATE))


def test_multichannel_float64_is_mixed_in_float32(processor):
    stereo = torch.cat([SPEECH, SPEECH.flip(1) / 7]).double() / 3  # more digits than float32 holds
    assert mel(processor, stereo, RATE).equal(mel(processor, stereo.float(), RATE))


@pytest.mark.host
def test_fake_tensor_gives_feature_shape(processor):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert mel(processor, mode.from_tensor(SPEECH), RATE).shape == (128, 51)


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


@pytest.mark.host
def test_training_mode_adds_dither(fresh):
    quiet = SPEECH / 1_000
    torch.manual_seed(0)
    trained = mel(fresh.train(), quiet.clone(), RATE)
    torch.manual_seed(0)
    dithered = quiet + fresh.audio.featurizer.dither * torch.randn_like(quiet)
    assert trained.equal(mel(fresh.eval(), dithered, RATE))
    assert not trained.equal(mel(fresh, quiet, RATE))


@pytest.mark.core
@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_mono_float_tensor_mel_is_bit_identical(chat, record_property, rate, form):
    chat.add_audio(TAKEN[form], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in.shape == (128, {16_000: 51, 22_050: 37}[rate])
    assert chat.audio_in.isfinite().all()
