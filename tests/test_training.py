"""Training reads audio from the bytes of files. It makes the same mel as a chat, and rejects what a chat rejects."""

import io

import numpy as np
import pytest
import soundfile
import torch

from harness.suite.expect import refused
from harness.suite.speech import digest

RATE = 22_050
TONE = np.sin(np.linspace(0, 4_000, RATE)) / 2
SPEECH = {"mono": TONE, "stereo": np.stack([TONE, TONE[::-1] / 2], 1)}
SAID = ["user", "assistant", "assistant-interleaved"]


@pytest.fixture
def learn(processor):
    """Return a function that makes a training sample from a message with audio."""
    from liquid_audio.data.mapper import LFM2AudioChatMapper
    from liquid_audio.data.types import AudioSegment, ChatMessage, InterleavedSegment

    def sample(file, said="user"):
        role = said.removesuffix("-interleaved")
        segment = AudioSegment(audio=file) if role == said else InterleavedSegment(text="one", audio=file)
        return LFM2AudioChatMapper(processor)([ChatMessage(role=role, content=[segment])])

    return sample


def written(wave, subtype="FLOAT"):
    """Return the bytes of a WAV file."""
    file = io.BytesIO()
    soundfile.write(file, wave, RATE, subtype, format="WAV")
    return file.getvalue()


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", SPEECH)
def test_a_file_gives_the_mel_of_its_samples(liquid_audio, processor, learn, record_property, channels, subtype):
    file = written(SPEECH[channels], subtype)
    sample = learn(file)
    record_property("digest", digest(sample.audio_in))
    wave, rate = soundfile.read(io.BytesIO(file), dtype="float32", always_2d=True)
    chat = liquid_audio.ChatState(processor, dtype=torch.float32)
    chat.add_audio(torch.from_numpy(wave).mean(1)[None], rate)
    expected = chat.audio_in.cpu()[:, : sample.audio_in.shape[1]]  # a chat keeps the empty frame at the end
    torch.testing.assert_close(sample.audio_in, expected, rtol=0, atol=0)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf], ids=str)
def test_a_file_of_nan_or_infinity_is_refused(learn, value, said):
    with refused(ValueError, "^expected finite samples, got NaN or infinity$"):
        learn(written(np.where(np.arange(RATE) == 100, value, TONE)), said)


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("samples", [0, 2, 439])
def test_a_file_of_less_than_two_frames_is_refused(learn, samples, said):
    with refused(ValueError, f"^expected at least 20ms of audio, got {samples} samples at {RATE}Hz$"):
        learn(written(TONE[:samples]), said)


@pytest.mark.parametrize("said", SAID)
def test_a_file_of_two_frames_is_taken(learn, record_property, said):
    sample = learn(written(TONE[:440]), said)
    record_property("digest", digest(sample.audio_in, sample.audio_out, sample.modality_flag))
    assert sample.audio_in.shape[1] == (2 if said == "user" else 0)
