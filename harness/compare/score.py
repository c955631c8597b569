"""How much of what was said was heard: word and character error rates over all words, after Whisper's English normaliser."""

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
        words: that were said, as the normaliser counts them
        wer: errors by words said, above 1 where more is heard than was said
        cer: the same by characters
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
    """Take from a worker's lines what was said and what was heard."""
    return [(line["spoken"], line["text"]) for line in heard]
