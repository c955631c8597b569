"""Speech becomes the same words, whatever form of mono audio it comes in."""

from operator import attrgetter

import pytest
import torch

from harness.speech import clips, normalise, pad, transcribe

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CONTAINERS = {"numpy": torch.Tensor.numpy, "torch": torch.clone}
SHAPES = {"1d": (-1,), "1xn": (1, -1), "nx1": (-1, 1)}

# How far the mel of a waveform may be from that of the same one in float32. Where a bin is all but silent its logarithm
# magnifies rounding; the words do not hang on it. bfloat16, in which the chat may keep its mel, has 8 bits of precision.
MEL_ATOL = {"float32": 0.0, "float64": 5e-2}
CHAT_RTOL = {"float32": 0.0, "bfloat16": 2**-7}

every_clip = pytest.mark.parametrize("clip", clips(), ids=attrgetter("id"))
every_clip_and_one_for_the_core = pytest.mark.parametrize(
    "clip", [pytest.param(clip, id=clip.id, marks=() if n else pytest.mark.core) for n, clip in enumerate(clips())]
)


@every_clip_and_one_for_the_core
@pytest.mark.parametrize("dtype", DTYPES)
def test_canonical_waveform_gives_the_spoken_words(canonical, record_property, dtype, clip):
    spoken = canonical(clip, DTYPES[dtype])
    record_property("digest", spoken.digest)
    assert normalise(spoken.text) == clip.text


@pytest.mark.core
@every_clip
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_silence_after_a_clip_adds_no_words(processor, models, record_property, dtype, clip):
    wave = pad(clip.mono(), clip.sampling_rate)
    spoken = transcribe(processor, models(DTYPES[dtype]), lambda chat: chat.add_audio(wave, clip.sampling_rate), DTYPES[dtype])
    record_property("digest", spoken.digest)
    assert normalise(spoken.text) == clip.text


@every_clip_and_one_for_the_core
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("wave_dtype", ["float32", "float64"])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_any_form_of_mono_audio_gives_the_same_words(processor, models, canonical, dtype, container, wave_dtype, shape, clip):
    wave = CONTAINERS[container](clip.mono().to(getattr(torch, wave_dtype)).reshape(SHAPES[shape]))
    spoken = transcribe(processor, models(DTYPES[dtype]), lambda chat: chat.add_audio(wave, clip.sampling_rate), DTYPES[dtype])
    expected = canonical(clip, DTYPES[dtype])
    atol = MEL_ATOL[wave_dtype]
    torch.testing.assert_close(spoken.mel, expected.mel, rtol=CHAT_RTOL[dtype] if atol else 0.0, atol=atol)
    assert spoken.text == expected.text
