"""Chats to fine-tune on, made from the clips in the three forms of upstream's data format."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from datasets.exceptions import DatasetGenerationError

from harness.speech import CLIPS, Clip

PROMPTS = {"asr": "Perform ASR.", "tts": "Perform TTS.", "interleaved": "Respond with interleaved text and audio."}


def chat(form: str, clip: Clip) -> list[Any]:
    """Make a chat of a clip: what it says is written down ("asr"), spoken ("tts"), or both in turns ("interleaved")."""
    from liquid_audio.data.types import AudioSegment, ChatMessage, InterleavedSegment, TextSegment

    audio = (CLIPS / clip.file).read_bytes()
    asked = TextSegment(text=clip.text) if form == "tts" else AudioSegment(audio=audio)
    answer = {
        "asr": TextSegment(text=clip.text),
        "tts": AudioSegment(audio=audio),
        "interleaved": InterleavedSegment(text=clip.text, audio=audio),
    }
    said = {"system": TextSegment(text=PROMPTS[form]), "user": asked, "assistant": answer[form]}
    return [ChatMessage(role=role, content=[segment]) for role, segment in said.items()]


def preprocess(chats: Iterable[list[Any]], folder: Path, mapper: Any) -> None:
    """Write chats as a dataset. An error is raised as it is, without the one that datasets wraps around it."""
    from liquid_audio.data.preprocess import preprocess_dataset

    try:
        preprocess_dataset(chats, folder, mapper)
    except DatasetGenerationError as error:
        raise (error.__cause__ or error) from None
