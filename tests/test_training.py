"""Training reads audio from the bytes of files, makes the same mel as a chat, and takes what a chat is too short for."""

import io

import liquid_audio
import numpy as np
import pytest
import soundfile
import torch
from liquid_audio.data.mapper import LFM2AudioChatMapper
from liquid_audio.data.types import AudioSegment, ChatMessage, InterleavedSegment

from harness.speech import digest

RATE = 22_050
TONE = np.sin(np.linspace(0, 4_000, RATE)) / 2
SPEECH = {"mono": TONE, "stereo": np.stack([TONE, TONE[::-1] / 2], 1)}
SAID = ["user", "assistant", "assistant-interleaved"]


@pytest.fixture
def learn(processor):
    """Return a function that makes a training sample from a message with audio."""

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
def test_mapper_mel_matches_add_audio(processor, learn, record_property, channels, subtype):
    file = written(SPEECH[channels], subtype)
    sample = learn(file)
    record_property("digest", digest(sample.audio_in))
    wave, rate = soundfile.read(io.BytesIO(file), dtype="float32", always_2d=True)
    chat = liquid_audio.ChatState(processor, dtype=torch.float32)
    chat.add_audio(torch.from_numpy(wave).mean(1)[None], rate)
    expected = chat.audio_in.cpu()[:, : sample.audio_in.shape[1]]  # a chat keeps the empty frame at the end
    torch.testing.assert_close(sample.audio_in, expected, rtol=0, atol=0)


@pytest.mark.parametrize("said", SAID)
def test_mapper_accepts_two_frames_of_audio(learn, record_property, said):
    sample = learn(written(TONE[:440]), said)
    record_property("digest", digest(sample.audio_in, sample.audio_out, sample.modality_flag))
    assert sample.audio_in.shape[1] == (2 if said == "user" else 0)


@pytest.mark.parametrize("said", SAID[1:])
def test_assistant_audio_of_15_ms_becomes_one_mimi_frame(learn, record_property, said):
    sample = learn(written(TONE[: RATE * 15 // 1_000]), said)
    record_property("digest", digest(sample.audio_out, sample.modality_flag))
    assert sample.audio_out.shape == (8, 2)  # and one that marks the end
