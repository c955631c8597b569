"""Spoken clips, and the recipe of upstream's README that turns one into words."""

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple, cast

import numpy as np
import soundfile
import torch

from harness import ROOT, HarnessError

CLIPS = ROOT / "fixtures" / "clips"

END_OF_AUDIO = 2048
DIGITS = dict(zip("0123456789", "zero one two three four five six seven eight nine".split(), strict=True))


@dataclass(frozen=True)
class Clip:
    """A short recording with known words; the manifest says where it is from."""

    id: str
    file: str
    text: str
    sampling_rate: int
    channels: int
    sha256: str

    def read(self) -> tuple[np.ndarray, int]:
        """Read the file as users do.

        Returns:
            float32 samples, (samples,) shaped if mono, else (samples, channels), and their sampling rate in Hz
        """
        samples, sampling_rate = soundfile.read(CLIPS / self.file, dtype="float32")
        return samples, sampling_rate

    def mono(self) -> torch.Tensor:
        """Return the clip in the one form that every release takes: float32, (1, samples) shaped."""
        samples, _ = self.read()
        return torch.from_numpy(samples if samples.ndim == 1 else samples.mean(1)).reshape(1, -1)


@cache
def clips() -> list[Clip]:
    """Read the manifest and verify the files that it names."""
    fields = Clip.__dataclass_fields__
    found = [
        Clip(**{k: v for k, v in clip.items() if k in fields})
        for clip in json.loads((CLIPS / "manifest.json").read_text())["clips"]
    ]
    for clip in found:
        if hashlib.sha256((CLIPS / clip.file).read_bytes()).hexdigest() != clip.sha256:
            raise HarnessError(f"fixtures/clips/{clip.file} is not the file that the manifest names: restore it with git")
    return found


class Transcription(NamedTuple):
    """What a model heard.

    Attributes:
        text: the words
        tokens: (tokens,) shaped token ids, on the CPU
        mel: (128, frames) shaped log-mel features in the chat's dtype, on the CPU
    """

    text: str
    tokens: torch.Tensor
    mel: torch.Tensor


def transcribe(
    processor: Any,
    model: Any,
    wave: Any,
    sampling_rate: int,
    dtype: torch.dtype = torch.bfloat16,
    max_new_tokens: int = 512,
) -> Transcription:
    """Turn audio into words, greedily, as upstream's README does.

    Args:
        processor: LFM2AudioProcessor
        model: LFM2AudioModel, on the same device
        wave: audio in any form that `add_audio` takes
        sampling_rate: its samples per second
        dtype: floating point type of chat and model
        max_new_tokens: the most tokens to generate
    """
    from liquid_audio import ChatState

    chat = ChatState(processor, dtype=dtype)
    chat.new_turn("system")
    chat.add_text("Perform ASR.")
    chat.end_turn()
    chat.new_turn("user")
    chat.add_audio(wave, sampling_rate)
    chat.end_turn()
    chat.new_turn("assistant")
    tokens = torch.cat([t for t in model.generate_sequential(**chat, max_new_tokens=max_new_tokens) if t.numel() == 1]).cpu()
    return Transcription(processor.text.decode(tokens, skip_special_tokens=True).strip(), tokens, chat.audio_in.cpu())


def mel(processor: Any, samples: torch.Tensor, sampling_rate: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the features that a processor makes from samples in a new chat, on the CPU, without a model."""
    from liquid_audio import ChatState

    chat = ChatState(processor, dtype=dtype)
    chat.add_audio(samples, sampling_rate)
    return cast(torch.Tensor, chat.audio_in.cpu())


def between_quiet(wave: torch.Tensor, sampling_rate: int) -> torch.Tensor:
    """Add a quarter of a second of quiet to each end of speech of shape (1, samples)."""
    return torch.nn.functional.pad(wave, (sampling_rate // 4, sampling_rate // 4))


def spoken_codes(text: str, end: bool = False) -> torch.Tensor:
    """Return the codes with which the tiny checkpoint speaks words: (8, frames), with a frame that ends the audio if `end`."""
    known = json.loads((ROOT / "fixtures" / "checkpoint" / "codes.json").read_text(encoding="utf-8"))
    codes = [code for word in text.split() for code in known[word]]
    return torch.tensor([*codes, *[END_OF_AUDIO] * end]).expand(8, -1)


def normalise(text: str) -> str:
    """Bring a transcript into the manifest's form: lower case, no punctuation, numerals up to ten as words."""
    words = re.sub(r"[^\w' ]", " ", text.lower())
    return " ".join(
        " ".join(DIGITS.get(c, c) for c in w) if w.isdigit() and w != "10" else w.replace("10", "ten") for w in words.split()
    )


def digest(*tensors: torch.Tensor) -> str:
    """Hash the bits of tensors, whatever their dtype."""
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(tensor.cpu().clone(memory_format=torch.contiguous_format).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
