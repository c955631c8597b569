"""`ChatState.add_audio` accepts audio, rejects other values with a clear error, and does not change the caller's data."""

import array
import pathlib
from collections import deque

import numpy as np
import pytest
import torch

from harness.suite.expect import refused
from harness.suite.speech import digest

RATE = 16_000
SPEECH = torch.linspace(-0.5, 0.5, 8_000).sin().reshape(1, -1)
PCM = (SPEECH[0].numpy() * 32767).astype(np.int16)
SCALED = torch.from_numpy(PCM / np.float32(32768))[None]

CONTAINERS = {"numpy": torch.Tensor.numpy, "torch": torch.clone}
SHAPES = {"0d": (), "1x1xn": (1, 1, 8_000), "9xn": (9, 8_000), "9x10": (9, 10), "2x31": (2, 31), "0x2": (0, 2)}
# Dtypes without a full scale, or without numbers.
DTYPES = {
    "bool": SPEECH > 0,
    "int64": (SPEECH * 2**30).to(torch.int64),
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
    "longdouble": lambda folder: SCALED[0].numpy().astype(np.longdouble),
    "read-only": lambda folder: np.frombuffer(PCM.tobytes(), np.int16),
    "memmap": lambda folder: _memmap(folder / "samples", PCM),
    "array": lambda folder: array.array("h", PCM.tolist()),
    "array-of-floats": lambda folder: array.array("f", SCALED[0].tolist()),
    "list": lambda folder: SCALED[0].tolist(),
    "tuple": lambda folder: tuple(SCALED[0].tolist()),
    "strided-tensor": lambda folder: torch.from_numpy(PCM.repeat(2))[::2],
}
# Values that are not audio, and how the error says what to pass.
OTHERS = {
    "str": ("speech.wav", r"got str: read the file first, e\.g\. with `soundfile\.read\(path\)`"),
    "path": (pathlib.PurePosixPath("speech.wav"), r"got PurePosixPath: read the file first"),
    "bytes": (b"RIFF", "got bytes: read the file first"),
    "dataset": ({"array": PCM, "sampling_rate": RATE}, r'got dict: pass its "array" and its "sampling_rate"'),
    "memoryview": (memoryview(b"RIFF"), "got memoryview: read the file first"),
    "microphone": ((RATE, PCM), "and its sampling rate apart, got tuple"),
    "chunks": ([PCM, PCM[1:]], "and its sampling rate apart, got list"),
    "batch": ([PCM] * 3, r"got 3 in a list: np\.stack channels, or np\.concatenate chunks$"),
    "batch-of-tensors": ((SPEECH[0], SPEECH[0]), "got 2 in a tuple"),
    "batch-of-lists": ([SPEECH[0].tolist()] * 2, "got 2 in a list"),
    "queue": (deque([PCM, PCM]), "got 2 in a deque"),
    "bytearray": (bytearray(b"RIFF"), "got bytearray: read the file first"),
    "masked": (np.ma.array(PCM), r"got a masked array: fill it first"),
    "number": (RATE, "got int: the waveform comes first, its sampling rate second"),
    "gradients": (list(SPEECH[0, :8].clone().requires_grad_()), "and its sampling rate apart, got list"),
    "none": (None, "got object"),
    "words": (["one", "two"], "got <U3"),
    "integers": ([1, 2, 3], "got int64"),
}
RATES = {
    "zero": 0,
    "negative": -16_000,
    "fraction": 44_100.5,
    "bool": True,
    "bool-of-numpy": np.array(True),
    "bool-of-torch": torch.tensor(True),
    "nan": float("nan"),
    "infinity": float("inf"),
    "one": 1,
}


def _memmap(file, samples):
    mapped = np.memmap(file, samples.dtype, "w+", shape=samples.shape)
    mapped[:] = samples
    return mapped


@pytest.fixture
def chat(liquid_audio, processor):
    return liquid_audio.ChatState(processor, dtype=torch.float32)


def mel_of(liquid_audio, processor, wave, rate=RATE):
    """Return the mel of audio in a new chat."""
    chat = liquid_audio.ChatState(processor, dtype=torch.float32)
    chat.add_audio(wave, rate)
    return chat.audio_in


@pytest.mark.core
@pytest.mark.parametrize("form", ARRAYS)
def test_any_array_of_the_samples_gives_the_same_mel(liquid_audio, processor, tmp_path, form):
    mel = mel_of(liquid_audio, processor, ARRAYS[form](tmp_path))
    torch.testing.assert_close(mel, mel_of(liquid_audio, processor, SCALED), rtol=0, atol=0)


@pytest.mark.core
def test_a_second_clip_follows_the_first(liquid_audio, processor, chat, record_property):
    for wave in (SPEECH, SPEECH[:, 4_000:]):
        chat.add_audio(wave, RATE)
    record_property("digest", digest(chat.audio_in, chat.modality_flag))
    alone = [mel_of(liquid_audio, processor, wave) for wave in (SPEECH, SPEECH[:, 4_000:])]
    assert chat.audio_in.equal(torch.cat(alone, 1))
    assert chat.audio_in_lens.tolist() == [mel.shape[1] for mel in alone]
    embeddings = sum(-(mel.shape[1] // -8) for mel in alone)
    assert (chat.modality_flag == liquid_audio.LFMModality.AUDIO_IN).sum() == embeddings


@pytest.mark.accelerator
@pytest.mark.core
@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_tensor_on_the_device_gives_the_same_mel(liquid_audio, processor, device, dtype):
    wave = (SCALED if dtype == "float32" else torch.from_numpy(PCM)).to(device)
    torch.testing.assert_close(mel_of(liquid_audio, processor, wave), mel_of(liquid_audio, processor, SCALED), rtol=0, atol=0)


@pytest.mark.core
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_shape_whose_channels_cannot_be_told_is_refused(chat, container, shape):
    with refused(ValueError, r"^expected shape \(samples,\), \(channels, samples\) or .*got \("):
        chat.add_audio(CONTAINERS[container](torch.zeros(SHAPES[shape])), RATE)
    assert chat.audio_in_lens.tolist() == []


@pytest.mark.core
@pytest.mark.parametrize("channels", [2, 8])
def test_the_fewest_samples_that_tell_the_channels_are_taken(chat, channels):
    chat.add_audio(torch.zeros(channels, 16 * channels), 500 * channels)
    assert chat.audio_in_lens.tolist() == [4]


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_dtype_without_a_full_scale_is_refused(chat, container, dtype):
    with refused(TypeError, rf"expected floating point audio in \[-1, 1\] or PCM of 8, 16 or 32 bits, got {dtype}$"):
        chat.add_audio(CONTAINERS[container](DTYPES[dtype]), RATE)
    assert chat.audio_in_lens.tolist() == []


@pytest.mark.core
@pytest.mark.parametrize("other", OTHERS)
def test_what_is_no_audio_is_refused_with_the_way_out(chat, other):
    wave, words = OTHERS[other]
    with refused(TypeError, f"^expected .*{words}"):
        chat.add_audio(wave, RATE)


@pytest.mark.host
@pytest.mark.parametrize("layout", ["sparse", "meta"])
def test_a_tensor_that_holds_no_dense_samples_is_refused(chat, layout):
    wave = SPEECH.to_sparse() if layout == "sparse" else SPEECH.to("meta")
    with refused(TypeError, "^expected one waveform and its sampling rate apart, got Tensor$"):
        chat.add_audio(wave, RATE)


@pytest.mark.core
@pytest.mark.parametrize("samples", [0, 1, 159, 160, 319])
@pytest.mark.parametrize("container", CONTAINERS)
def test_audio_of_less_than_two_frames_is_refused(chat, container, samples):
    with refused(ValueError, rf"^expected at least 20ms of audio, got {samples} samples at 16000Hz$"):
        chat.add_audio(CONTAINERS[container](SPEECH[:, :samples]), RATE)
    assert chat.audio_in_lens.tolist() == []


@pytest.mark.core
@pytest.mark.parametrize(("samples", "rate"), [(320, RATE), (160, 8_000), (440, 22_050), (880, 44_100), (3_517, 176_400)])
def test_audio_of_two_frames_is_taken(chat, record_property, samples, rate):
    chat.add_audio(SPEECH[:, :samples], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in_lens.tolist() == [3]
    assert chat.audio_in.abs().max() > 0


@pytest.mark.core
@pytest.mark.parametrize(("samples", "rate"), [(159, 8_000), (439, 22_050), (879, 44_100), (3_516, 176_400)])
def test_audio_of_less_than_two_frames_at_another_rate_is_refused(chat, samples, rate):
    with refused(ValueError, rf"^expected at least 20ms of audio, got {samples} samples at {rate}Hz$"):
        chat.add_audio(SPEECH[:, :samples], rate)


@pytest.mark.core
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e20], ids=str)
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_sample_that_is_not_finite_is_refused(chat, container, value):
    wave = SPEECH.clone()
    wave[0, 100] = value
    with refused(
        ValueError, r"^expected finite samples in \[-1, 1\], got NaN, infinity or samples too large to compute with$"
    ):
        chat.add_audio(CONTAINERS[container](wave), RATE)


@pytest.mark.core
@pytest.mark.parametrize("rate", RATES)
def test_a_sampling_rate_that_is_no_whole_number_is_refused(chat, rate):
    with refused(ValueError, "^expected the samples per second as a whole number above 1, got "):
        chat.add_audio(SPEECH[:, :20], RATES[rate])  # 1.3.0 takes True as 1 Hz, and needs a minute for a longer clip


@pytest.mark.core
@pytest.mark.parametrize(
    "rate", ["16000", b"16000", None, (16_000,), torch.tensor([RATE, RATE])], ids=lambda rate: type(rate).__name__
)
def test_a_sampling_rate_that_is_no_number_is_refused(chat, rate):
    with refused(TypeError, "^expected the samples per second as a number, got "):
        chat.add_audio(SPEECH, rate)


@pytest.mark.core
@pytest.mark.parametrize(
    "rate", [16_000.0, np.int64(16_000), np.float32(16_000), torch.tensor(16_000)], ids=lambda r: type(r).__name__
)
def test_any_whole_number_is_a_sampling_rate(liquid_audio, processor, rate):
    assert mel_of(liquid_audio, processor, SPEECH, rate).equal(mel_of(liquid_audio, processor, SPEECH))


def test_float64_of_several_channels_is_mixed_in_float32(liquid_audio, processor):
    stereo = torch.cat([SPEECH, SPEECH.flip(1) / 7]).double() / 3  # more digits than float32 holds
    assert mel_of(liquid_audio, processor, stereo).equal(mel_of(liquid_audio, processor, stereo.float()))


@pytest.mark.core
def test_the_lowest_sampling_rate_is_taken(chat, record_property):
    chat.add_audio(SPEECH[:, :2], 2)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in_lens.tolist() == [101]


@pytest.mark.host
def test_stereo_keeps_both_channels_under_python_O(optimised, checkpoint, device):
    program = f"""
import pathlib, torch
from liquid_audio import ChatState, LFM2AudioProcessor
processor = LFM2AudioProcessor.from_pretrained(pathlib.Path({str(checkpoint)!r}), device={str(device)!r})
left = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)) * 0.1
right = left.flip(1)
mels = []
for wave in (torch.cat([left, right]), torch.cat([left, right]).mean(0, keepdim=True)):
    chat = ChatState(processor, dtype=torch.float32)
    chat.add_audio(wave, 16_000)
    mels.append(chat.audio_in)
found = "the same" if torch.equal(*mels) else "not the same"
"""
    assert optimised(program) == "the same"


@pytest.mark.core
@pytest.mark.parametrize("mode", ["eval", "train"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_callers_data_stays_as_it_was(liquid_audio, fresh, device, container, mode):
    getattr(fresh.to(device), mode)()
    wave = CONTAINERS[container](SPEECH.clone())
    mel_of(liquid_audio, fresh, wave)
    assert torch.as_tensor(wave).equal(SPEECH)


@pytest.mark.host
def test_training_adds_dither(liquid_audio, fresh):
    torch.manual_seed(0)
    mel = mel_of(liquid_audio, fresh.train(), SPEECH / 1_000)
    torch.manual_seed(0)
    dithered = SPEECH / 1_000 + fresh.audio.featurizer.dither * torch.randn_like(SPEECH)
    assert mel.equal(mel_of(liquid_audio, fresh.eval(), dithered))
    assert not mel.equal(mel_of(liquid_audio, fresh, SPEECH / 1_000))


@pytest.mark.core
@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_a_tensor_of_one_channel_keeps_its_bits(chat, record_property, rate, form):
    chat.add_audio(TAKEN[form], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in.shape == (128, {16_000: 51, 22_050: 37}[rate])
    assert chat.audio_in.isfinite().all()


@pytest.mark.core
@pytest.mark.parametrize("rate", [16_000, 22_050])
@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision_is_resampled_as_float32(liquid_audio, processor, dtype, rate):
    wave = SPEECH.to(HALVES[dtype])
    torch.testing.assert_close(
        mel_of(liquid_audio, processor, wave, rate), mel_of(liquid_audio, processor, wave.float(), rate), rtol=0, atol=0
    )
