import numpy as np
import pytest
import torch

from liquid_audio import ChatState

RATE = 48_000
PCM = (np.sin(np.linspace(0, 800, RATE // 2)) * 20_000).astype(np.int16)
WAVE = torch.from_numpy(PCM / np.float32(2**15))[None]


def mel(processor, wave):
    chat = ChatState(processor, dtype=torch.float32)
    chat.add_audio(wave, RATE)
    return chat.audio_in


@pytest.mark.parametrize(
    "wave",
    [PCM / 2**15, PCM, np.stack([PCM, PCM], 1), np.stack([WAVE[0], WAVE[0]]), torch.from_numpy(PCM)[None], WAVE[0].tolist()],
    ids=["soundfile", "scipy", "scipy stereo", "librosa stereo", "torch int16", "list"],
)
def test_audio_of_any_source_gives_the_same_mel(processor, wave):
    assert mel(processor, wave).equal(mel(processor, WAVE))


@pytest.mark.parametrize(
    "wave",
    [WAVE[:, :100], WAVE.long(), "speech.wav", [PCM, PCM]],
    ids=["short", "int64", "path", "batch"],
)
def test_anything_else_is_refused(processor, wave):
    with pytest.raises((TypeError, ValueError), match=r"^expected .+, got "):
        mel(processor, wave)
