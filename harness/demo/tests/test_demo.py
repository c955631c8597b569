"""A talk with upstream's demo in a browser is judged as a person would judge it."""

from dataclasses import replace

import pytest

from harness.demo.talk import NO_CODES, Chat, Heard, Turn, chats, describe, judge

LOG = "INFO Starting generation with state ChatState(text_tok: 12, audio_in: 80, audio_out: 0)\nINFO done\n"
FIRST = Turn(Heard("Go forward.", (("log", "pause_detected"),), 5.0), Chat(12, 80, 0), 7.0, packets=50, energy=0.5)
SECOND = replace(FIRST, heard=replace(FIRST.heard, text="Go forward, go forward"), chat=Chat(30, 160, 14))
TALK = (FIRST, SECOND, FIRST)


def problems(*turns, emptied=True):
    return list(judge(turns, "go forward", emptied))


def test_a_log_says_what_the_chat_was():
    assert chats(LOG) == [Chat(12, 80, 0)]


def test_a_talk_of_the_spoken_words_is_right():
    assert problems(*TALK) == []


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ((replace(FIRST, heard=replace(FIRST.heard, text="no")), SECOND, FIRST), "turn 1: the page wrote 'no'"),
        ((FIRST, FIRST, FIRST), "the second turn does not continue the chat of the first"),
        ((FIRST, SECOND, SECOND), "«Reset chat» does not begin a new chat"),
        ((FIRST, SECOND, replace(FIRST, chat=None)), "the demo does not say which chat"),
        (
            (replace(FIRST, heard=replace(FIRST.heard, said=(("error", "boom"),))), SECOND, FIRST),
            "turn 1: the demo failed: boom",
        ),
    ],
)
def test_what_is_wrong_is_said(turns, words):
    assert [problem for problem in problems(*turns) if problem.startswith(words)] != []


def test_a_box_that_keeps_its_words_is_wrong():
    assert problems(*TALK, emptied=False) == ["«Reset chat» does not empty the box"]


def test_a_reply_without_sound_is_wrong():
    lost = replace(FIRST, heard=replace(FIRST.heard, said=(("error", NO_CODES),)), packets=0)
    assert problems(lost, SECOND, FIRST) == [
        f"turn 1: the demo failed: {NO_CODES}",
        f"turn 1: the browser heard nothing: the reply has no audio, and the demo loses the turn: `{NO_CODES}`",
    ]
    assert NO_CODES in describe((lost, SECOND, FIRST), True)["first sound"]
