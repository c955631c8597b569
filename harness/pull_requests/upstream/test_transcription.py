"""Transcribe assets/asr.wav, with the checkpoint that LIQUID_AUDIO_CHECKPOINT names: on the hub, or in a folder"""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from liquid_audio import ChatState, LFM2AudioModel, LFM2AudioProcessor

NAME = os.environ.get("LIQUID_AUDIO_CHECKPOINT")
SPEECH = Path(__file__).parents[1] / "assets" / "asr.wav"

pytestmark = pytest.mark.skipif(NAME is None, reason="needs LIQUID_AUDIO_CHECKPOINT, such as LiquidAI/LFM2.5-Audio-1.5B")


@pytest.fixture(scope="module")
def transcribe():
    checkpoint, device = Path(NAME) if Path(NAME).is_dir() else NAME, "cuda" if torch.cuda.is_available() else "cpu"
    parts = [part.from_pretrained(checkpoint, device=device) for part in (LFM2AudioProcessor, LFM2AudioModel)]
    processor, model = (part.eval() for part in parts)

    def run(wave, sampling_rate):
        chat = ChatState(processor)
        chat.new_turn("system")
        chat.add_text("Perform ASR.")
        chat.end_turn()
        chat.new_turn("user")
        chat.add_audio(wave, sampling_rate)
        chat.end_turn()
        chat.new_turn("assistant")
        tokens = [int(t) for t in model.generate_sequential(**chat, max_new_tokens=512) if t.numel() == 1]
        return processor.text.decode(tokens, skip_special_tokens=True)

    return run


@pytest.fixture(scope="module")
def expected(transcribe):
    """What the model hears in a float32 tensor of shape (1, samples)"""
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    text = transcribe(torch.from_numpy(samples)[None], rate)
    assert text.strip()
    return text


@pytest.mark.parametrize(
    ("dtype", "channels"), [("float32", 1), ("int16", 1), ("float32", 2)], ids=["float32", "int16", "stereo"]
)
def test_audio_as_soundfile_returns_it_gives_the_same_text(transcribe, expected, dtype, channels):
    samples, rate = soundfile.read(SPEECH, dtype=dtype)
    assert transcribe(samples if channels == 1 else np.stack([samples] * channels, 1), rate) == expected
