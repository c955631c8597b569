"""Word and character error rates, over all words together, after Whisper's English normaliser."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jiwer

# Spoken and heard.
Pair = tuple[str, str]


@dataclass(frozen=True)
class Score:
    """Error rates over several recordings, taken together.

    Attributes:
        words: how many were said, as the normaliser counts them
        wer: errors per word said; above 1 if there are more errors than words
        cer: the same for characters
    """

    words: int
    wer: float
    cer: float


def score(pairs: Sequence[Pair], normalise: Callable[[str], str]) -> Score:
    """Compare what was said with what was heard, both normalised."""
    said, heard = [normalise(said) for said, _ in pairs], [normalise(heard) for _, heard in pairs]
    return Score(sum(len(text.split()) for text in said), jiwer.wer(said, heard), jiwer.cer(said, heard))


def normaliser() -> Callable[[str], str]:
    """Return Whisper's normaliser for English: case, punctuation, contractions, spelling, and numbers as digits."""
    from whisper.normalizers import EnglishTextNormalizer

    normalise: Callable[[str], str] = EnglishTextNormalizer()
    return normalise


def pairs(heard: Sequence[Mapping[str, Any]]) -> list[Pair]:
    """Pair what was said with what was heard, from a worker's lines."""
    return [(line["spoken"], line["text"]) for line in heard]
