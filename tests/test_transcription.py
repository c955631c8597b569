"""Speech becomes the same words, whatever form of audio it comes in."""

from functools import cache
from operator import attrgetter
from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio

from harness.speech import clips, mel

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CONTAINERS = {"numpy": torch.Tensor.numpy, "torch": torch.clone}
# Floating point in [-1, 1], or PCM with its values for silence and for 1.0 above silence.
WAVE_DTYPES = {
    "float32": None,
    "float64": None,
    "float16": None,
    "bfloat16": None,
    "int8": (0, 2**7),
    "int16": (0, 2**15),
    "int32": (0, 2**31),
    "uint8": (2**7, 2**7),
}
# The loudness of the voice on each channel, and the axis of the channels.
SHAPES = {
    "1d": ([1.0], None),
    "1xn": ([1.0], 0),
    "nx1": ([1.0], 1),
    "2xn": ([1.0, 0.0], 0),
    "nx2": ([0.5, 1.0], 1),
    "nx8": ([1.0] * 8, 1),
}
FORMS = [
    pytest.param(container, dtype, shape, id=f"{container}-{dtype}-{shape}")
    for container in CONTAINERS
    for dtype in WAVE_DTYPES
    for shape in SHAPES
    if (container, dtype) != ("numpy", "bfloat16")  # NumPy has no bfloat16
]
SOME = [clip for clip in clips() if clip.id in ("human-digits-8k-mono", "human-again-16k-stereo", "slt-thanks-48k-stereo")]

# A mel may differ from that of the same samples in float32. The mean of the channels is rounded, and in a nearly silent bin the
# logarithm magnifies that. A chat may keep its mel in bfloat16, with 8 bits of precision. A float64 tensor of one channel is
# resampled in float64, as in 1.3.0.
FLOAT64_ATOL = 5e-2
CHAT_RTOL = {"float32": 0.0, "bfloat16": 2**-7}

every_clip = pytest.mark.parametrize("clip", clips(), ids=attrgetter("id"))
# A form is converted before it reaches the device, which always gets a floating point waveform, and before the chat rounds the
# mel. On a device other than the CPU, and in a chat in bfloat16, one clip is enough to show that it gets there.
CHATS = [
    pytest.param(dtype, clip, id=f"{dtype}-{clip.id}", marks=pytest.mark.host if n else pytest.mark.core)
    for dtype in ("float32", "bfloat16")
    for n, clip in enumerate(SOME if dtype == "float32" else SOME[:1])
]


@cache
def recorded(clip, dtype, shape):
    """Return a clip in a dtype and on some channels, and the same samples as float32 of shape (1, samples)."""
    loudness, axis = SHAPES[shape]
    channels = clip.mono().double() * torch.tensor(loudness, dtype=torch.float64)[:, None]
    if WAVE_DTYPES[dtype] is None:
        wave = channels.to(getattr(torch, dtype))
        samples = wave.double()
    else:
        silence, full = WAVE_DTYPES[dtype]
        codes = (channels * full).round().clamp(-full, full - 1)
        wave, samples = (codes + silence).long().to(getattr(torch, dtype)), codes / full
    mean = samples.mean(0, keepdim=True).float()
    return {None: wave[0], 0: wave, 1: wave.T.contiguous()}[axis], mean


@every_clip
@pytest.mark.parametrize("dtype", DTYPES)
def test_canonical_waveform_transcribes_correctly(transcribes, dtype, clip):
    transcribes(clip.text, clip.mono(), clip.sampling_rate, DTYPES[dtype])


@pytest.mark.parametrize(("chat", "model"), [("float32", "bfloat16"), ("bfloat16", "float32")])
def test_model_accepts_chat_of_another_dtype(transcribes, models, chat, model):
    transcribes(SOME[0].text, SOME[0].mono(), SOME[0].sampling_rate, DTYPES[chat], models(DTYPES[model]))


# On xla, float32 only: `test_audio_format_transcribes_correctly` has bfloat16 there, with one clip.
@every_clip
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.core), "bfloat16"])
def test_trailing_silence_adds_no_words(transcribes, dtype, clip):
    wave = clip.mono()
    silence = -wave.shape[1] % (clip.sampling_rate * 3 // 2)  # up to a multiple of 1.5 s, so that there are only three lengths
    transcribes(clip.text, torch.nn.functional.pad(wave, (0, silence)), clip.sampling_rate, DTYPES[dtype])


@pytest.mark.parametrize(("dtype", "clip"), CHATS)
@pytest.mark.parametrize(("container", "wave_dtype", "shape"), FORMS)
def test_audio_format_transcribes_correctly(transcribes, processor, dtype, container, wave_dtype, shape, clip):
    wave, samples = recorded(clip, wave_dtype, shape)
    given = CONTAINERS[container](wave)
    channels = len(SHAPES[shape][0])
    kept = (container, wave_dtype, channels) == ("torch", "float64", 1)
    atol = FLOAT64_ATOL if kept else 1e-3 if channels > 1 else 0.0
    rtol = CHAT_RTOL[dtype] if atol else 0.0
    expected = mel(processor, samples, clip.sampling_rate, DTYPES[dtype])
    transcribes(clip.text, given, clip.sampling_rate, DTYPES[dtype], expected_mel=expected, rtol=rtol, atol=atol)


@pytest.mark.core
def test_mel_matches_published_release(processor):
    """The other tests compare a release with itself, and would not notice that all of its features change alike."""
    golden = np.load(Path(__file__).with_name("human-digits-8k-mono.mel.npy"))  # from 1.3.0 on torch 2.14.1; FFTs differ a bit
    heard = mel(processor, SOME[0].mono(), SOME[0].sampling_rate)
    torch.testing.assert_close(heard, torch.from_numpy(golden), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "rate", [8_000, 11_025, 16_000, 22_050, 32_000, 37_800, 44_100, 48_000, 88_200, 96_000, 176_400, 192_000]
)
def test_sampling_rate_transcribes_correctly(transcribes, rate):
    transcribes(SOME[0].text, torchaudio.functional.resample(SOME[0].mono(), SOME[0].sampling_rate, rate), rate)


@pytest.mark.core
def test_interleaved_generation_transcribes_correctly(transcribes, models, monkeypatch):
    model = models(torch.float32)
    monkeypatch.setattr(model.conf, "interleaved_n_text", 64)  # this checkpoint transcribes in text only
    monkeypatch.setattr(model, "generate_sequential", model.generate_interleaved)
    transcribes(SOME[0].text, SOME[0].mono(), SOME[0].sampling_rate)
