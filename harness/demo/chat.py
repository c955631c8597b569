"""A talk with the demo in three turns, with a reset before the last."""

from harness.demo.page import Page
from harness.demo.talk import Turn, spoken

# How often to say the words at most, until the page has them right.
HEARINGS = 4
CUT = "fastrtc drops a first chunk that has little speech in it, and with it up to a quarter of a second of the words"


def talk(page: Page, words: str, notes: list[str]) -> tuple[list[Turn], bool]:
    """Take two turns of a chat, reset it, and take one more. Words that are misheard are said again in a new chat.

    Args:
        page: the page of the demo
        words: what the microphone hears
        notes: collects what was misheard, and clicks that did nothing

    Returns:
        the three turns, and whether the box was empty after «Reset chat»

    Raises:
        HarnessError: the page does not connect, or the demo has stopped
    """
    both = f"{words} {words}"
    turns = [page.turn("2-first-turn")]
    for left in reversed(range(HEARINGS)):
        if spoken(turns[0], words) or not left:
            turns.append(page.turn("3-second-turn"))
        if not left or (len(turns) == 2 and spoken(turns[1], both)):
            break
        notes.append(_otherwise(turns[-1]))
        page.reset(notes)
        turns = [page.turn("2-first-turn")]
    emptied = page.reset(notes)
    page.photograph("4-reset")
    anew = page.turn("5-first-turn-anew")
    for _ in range(HEARINGS - 1):
        if spoken(anew, words):
            break
        notes.append(_otherwise(anew))
        emptied = page.reset(notes) and emptied
        anew = page.turn("5-first-turn-anew")
    return [*turns, anew], emptied


def _otherwise(turn: Turn) -> str:
    return f"«{turn.heard.text}» was heard once, and the words were said again in a new chat ({CUT})"
