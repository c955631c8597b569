"""A talk with the demo, and what is wrong with one.

fastrtc drops the chunks before the first in which it finds a quarter of a second of speech, and with them up to that much of what
was said. Where its chunks begin is chance. So what is said begins with a longer word, which may be cut, and nothing is claimed
about that word. All of the words after it must be on the page.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.speech import normalise


@dataclass(frozen=True)
class Turn:
    """The reply to a turn.

    Attributes:
        text: what the page shows
        seconds: how long the sound is that the browser receives
        energy: the energy of that sound
    """

    text: str
    seconds: float
    energy: float

    def __str__(self) -> str:
        return f"shows «{self.text.strip()}», and the browser hears {self.seconds:.1f} s of sound"


def shows(text: str, words: str, times: int) -> bool:
    """Say whether a text is these words, so many times, each time after one word of any kind or none."""
    return re.fullmatch(" ".join([rf"(\S+ )?{words}"] * times), normalise(text)) is not None


def judge(turns: Sequence[Turn], words: str) -> Iterator[str]:
    """Find what is wrong with the turns of one chat, in each of which these words were said after another one."""
    for number, turn in enumerate(turns, 1):
        # The tiny checkpoint repeats all that it has heard in the chat.
        if not shows(turn.text, words, number):
            yield f"turn {number}: the page shows {turn.text!r}, not «{' '.join([f'… {words}'] * number)}»"
        if turn.seconds <= 0 or turn.energy <= 1e-6:
            yield f"turn {number}: the browser hears nothing"
