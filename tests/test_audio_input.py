"""`ChatState.add_audio` refuses what it cannot know with an error that says so, and leaves the caller's data alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from harness import ROOT
from harness.expect import refused
from harness.speech import clips, digest

RATE = 16_000
SPEECH = torch.linspace(-0.5, 0.5, 8_000).sin().reshape(1, -1)

CONTAINERS = {"numpy": torch.Tensor.numpy, "torch": torch.clone}
SHAPES = {
    "0d": SPEECH[0, 0],
    "2xn": SPEECH.expand(2, -1),
    "nx2": SPEECH.expand(2, -1).T,
    "1x1xn": SPEECH[None],
}
DTYPES = {
    "bool": SPEECH > 0,
    "uint8": (SPEECH * 127 + 128).to(torch.uint8),
    "int16": (SPEECH * 32767).to(torch.int16),
    "int32": (SPEECH * 2**30).to(torch.int32),
    "complex64": SPEECH.to(torch.complex64),
}
# Tensors of shape (1, samples) that 1.3.0 takes: the verdict compares their bits between the trees.
TAKEN = {
    "float32": SPEECH,
    "float64": SPEECH.double(),
    "float16": SPEECH.half(),
    "bfloat16": SPEECH.bfloat16(),
    "strided": SPEECH.repeat_interleave(2, 1)[:, ::2],
    "requires_grad": SPEECH.clone().requires_grad_(),
}
OTHERS = {"list": SPEECH[0].tolist(), "bytes": b"RIFF", "str": "speech.wav", "none": None}


@pytest.fixture
def chat(liquid_audio, processor):
    return liquid_audio.ChatState(processor, dtype=torch.float32)


@pytest.mark.core
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_audio_that_is_not_mono_is_refused_with_its_shape(chat, container, shape):
    wave = CONTAINERS[container](SHAPES[shape].contiguous())
    with refused(ValueError, r"expected mono audio of shape \(samples,\).*got \(.*wave\.mean\(0\)"):
        chat.add_audio(wave, RATE)
    assert chat.audio_in_lens.tolist() == []


@pytest.mark.core
@pytest.mark.parametrize("shape", [(0,), (1, 0)], ids=["1d", "1xn"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_audio_without_samples_is_refused(chat, container, shape):
    with refused(ValueError, r"got no samples"):
        chat.add_audio(CONTAINERS[container](torch.empty(shape)), RATE)


@pytest.mark.core
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("container", CONTAINERS)
def test_audio_that_is_not_floating_point_is_refused_with_its_dtype(chat, container, dtype):
    with refused(TypeError, rf"expected floating point audio in \[-1, 1\], got .*{dtype}"):
        chat.add_audio(CONTAINERS[container](DTYPES[dtype]), RATE)
    assert chat.audio_in_lens.tolist() == []


@pytest.mark.core
@pytest.mark.parametrize("other", OTHERS)
def test_what_is_neither_tensor_nor_array_is_refused_with_its_type(chat, other):
    with refused(TypeError, rf"expected a torch tensor or NumPy array, got {type(OTHERS[other]).__name__}"):
        chat.add_audio(OTHERS[other], RATE)


def test_stereo_is_refused_under_python_O(liquid_audio, checkpoint, device):
    program = f"""
import sys
sys.path[:0] = [{str(Path(liquid_audio.__file__).parent.parent)!r}, {str(ROOT)!r}]
import pathlib, torch
from harness import devices
from liquid_audio import ChatState, LFM2AudioProcessor
devices.require({str(device)!r})
chat = ChatState(LFM2AudioProcessor.from_pretrained(pathlib.Path({str(checkpoint)!r}), device={str(device)!r}))
try:
    chat.add_audio(torch.zeros(2, 16_000), 16_000)
except ValueError:
    print("refused with a ValueError")
else:
    print("taken as", chat.audio_in_lens.tolist(), "frames")
"""
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "refused with a ValueError"


@pytest.mark.core
@pytest.mark.parametrize("container", CONTAINERS)
def test_the_callers_data_stays_as_it_was(chat, container):
    wave = CONTAINERS[container](SPEECH)
    before = wave.copy() if container == "numpy" else wave.clone()
    chat.add_audio(wave, RATE)
    assert (wave == before).all()


@pytest.mark.core
def test_a_read_only_array_is_accepted_without_a_warning(chat):
    wave = np.frombuffer(SPEECH.numpy().tobytes(), dtype=np.float32)
    assert not wave.flags.writeable
    chat.add_audio(wave, RATE)
    assert chat.audio_in_lens.tolist() == [51]


@pytest.mark.core
@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("rate", [16_000, 22_050])
def test_a_tensor_of_one_channel_keeps_its_bits(chat, record_property, rate, form):
    chat.add_audio(TAKEN[form], rate)
    record_property("digest", digest(chat.audio_in))
    assert chat.audio_in.shape == (128, {16_000: 51, 22_050: 37}[rate])
    assert chat.audio_in.isfinite().all()


def test_the_clips_come_in_the_rates_and_channels_that_users_hold():
    assert {clip.channels for clip in clips()} == {1, 2}
    assert {clip.sampling_rate for clip in clips()} == {8_000, 16_000, 22_050, 24_000, 44_100, 48_000}
