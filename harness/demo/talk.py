"""A talk with the demo, and what is wrong with one."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.speech import normalise

# A failure of the demo itself, on every device: it stacks the codes of a reply without any, and loses connection and turn.
NO_CODES = "stack expects a non-empty TensorList"
STATE = re.compile(r"Starting generation with state ChatState\(text_tok: (\d+), audio_in: (\d+), audio_out: (\d+)\)")


@dataclass(frozen=True)
class Chat:
    """What a chat holds when a reply to it begins: tokens of text, frames of audio in, codes of audio out."""

    text: int
    audio_in: int
    audio_out: int


@dataclass(frozen=True)
class Heard:
    """What the page has shown since «Record» was clicked.

    Attributes:
        text: what is in the box, which was empty before
        said: kind and content of each message that the demo sent to the page
        quiet: seconds since anything new appeared
    """

    text: str
    said: tuple[tuple[str, str], ...]
    quiet: float

    @property
    def error(self) -> str:
        """The error that the demo reports; empty if it did not fail."""
        return next((content for kind, content in self.said if kind == "error"), "")

    def count(self, content: str) -> int:
        """Count the messages of the log that say this."""
        return self.said.count(("log", content))

    @property
    def over(self) -> bool:
        """Whether the turn is over: it failed, its reply has ended, or the next turn has begun."""
        return (
            (bool(self.error) and self.quiet > 1) or (bool(self.text) and self.quiet > 4) or self.count("pause_detected") > 1
        )


@dataclass(frozen=True)
class Turn:
    """A turn: what the page showed, what the chat held, and what sound came back.

    Attributes:
        heard: what the page showed
        chat: what the chat held when the reply began; None if no reply did
        seconds: from «Record» to the last text
        packets: how many packets of 20 ms of sound the browser received
        energy: their energy, 0 if they are silent
    """

    heard: Heard
    chat: Chat | None
    seconds: float
    packets: int = 0
    energy: float = 0.0

    @property
    def lost(self) -> bool:
        """Whether the demo lost the turn because the reply had no audio codes."""
        return self.heard.error == NO_CODES

    @property
    def sounds(self) -> bool:
        """Whether the browser heard anything."""
        return self.packets > 0 and self.energy > 1e-6

    @property
    def sound(self) -> str:
        """Say what came back."""
        if self.sounds:
            return f"{self.packets * 0.02:.1f} s of sound"
        return "nothing: the reply has no audio" + (f", and the demo loses the turn: `{NO_CODES}`" if self.lost else "")


def chats(log: str) -> list[Chat]:
    """Read from the demo's log what the chat held when each reply began."""
    return [Chat(*map(int, found)) for found in STATE.findall(log)]


def spoken(turn: Turn, words: str) -> bool:
    """Say whether the page wrote these words."""
    return normalise(turn.heard.text) == words


def judge(turns: Sequence[Turn], words: str, emptied: bool) -> Iterator[str]:
    """Find what is wrong with a talk.

    Args:
        turns: two of one chat, and one of another after «Reset chat»
        words: what was said in each
        emptied: whether «Reset chat» emptied the box
    """
    # The checkpoint repeats what it heard, and in the second turn both.
    for number, (turn, said) in enumerate(zip(turns, (words, f"{words} {words}", words), strict=True), 1):
        if not spoken(turn, said):
            yield f"turn {number}: the page wrote {turn.heard.text!r}, not {said!r}"
        if turn.heard.error:
            yield f"turn {number}: the demo failed: {turn.heard.error}"
        if not turn.sounds:
            yield f"turn {number}: the browser heard {turn.sound}"
    first, second, anew = (turn.chat for turn in turns)
    if not (first and second and anew):
        yield "the demo does not say which chat it replies to"
    elif not (second.audio_in > first.audio_in and second.text > first.text):
        yield "the second turn does not continue the chat of the first"
    elif anew.text != first.text or anew.audio_out:
        yield "«Reset chat» does not begin a new chat"
    if not emptied:
        yield "«Reset chat» does not empty the box"


def describe(turns: Sequence[Turn], emptied: bool) -> dict[str, str]:
    """Describe what was seen at each step."""
    first, second, anew = (f"«{turn.heard.text}» after {turn.seconds:.0f} s" for turn in turns)
    box = "the box is empty" if emptied else "the box stays as it was"
    return {
        "first": first,
        "first sound": turns[0].sound,
        "second": second,
        "second sound": turns[1].sound,
        "reset": f"{box}, then {anew}",
    }
