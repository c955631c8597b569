"""A talk with upstream's demo is judged as a person would judge it, and no process of a demo outlives its test."""

from dataclasses import replace

import pytest

from harness.demo.__main__ import compare
from harness.demo.server import serving
from harness.demo.talk import Turn, judge, shows
from harness.trees import Tree

FIRST = Turn("Goodbye hello world.", seconds=1.0, energy=0.5)
SECOND = Turn("nine hello world hello world", seconds=2.0, energy=0.9)
NO_DRIVER = "the demo does not start: RuntimeError: Found no NVIDIA driver on your system."


@pytest.mark.parametrize("text", ["hello world", "goodbye hello world", "Nine, hello world."])
def test_the_first_word_of_a_turn_may_be_cut(text):
    assert shows(text, "hello world", 1)


@pytest.mark.parametrize("text", ["", "rolled world", "goodbye hello", "no no hello world", "hello world goodbye"])
def test_no_other_word_may_be_wrong_or_missing(text):
    assert not shows(text, "hello world", 1)


def test_a_second_turn_repeats_both():
    assert shows(SECOND.text, "hello world", 2) and not shows(FIRST.text, "hello world", 2)


def test_a_talk_that_works_has_no_problems():
    assert list(judge([FIRST, SECOND], "hello world")) == []


@pytest.mark.parametrize(
    ("turns", "problem"),
    [
        ([replace(FIRST, text="rolled world"), SECOND], "turn 1: the page shows 'rolled world', not «… hello world»"),
        (
            [FIRST, replace(SECOND, text="hello world")],
            "turn 2: the page shows 'hello world', not «… hello world … hello world»",
        ),
        ([FIRST, replace(SECOND, seconds=0.0, energy=0.0)], "turn 2: the browser hears nothing"),
        ([replace(FIRST, energy=0.0), SECOND], "turn 1: the browser hears nothing"),
    ],
)
def test_a_wrong_or_silent_turn_is_a_problem(turns, problem):
    assert list(judge(turns, "hello world")) == [problem]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([NO_DRIVER], [], []),
        ([NO_DRIVER], ["it is silent"], ["patched: it is silent"]),
        ([], [], ["upstream: expected the demo not to start for lack of CUDA, got: it works"]),
        (["ImportError"], [], ["upstream: expected the demo not to start for lack of CUDA, got: ImportError"]),
    ],
)
def test_the_claim_needs_the_published_demo_to_lack_cuda_and_the_patched_one_to_work(before, after, words):
    assert compare(before, after) == words


def demo(folder, program):
    """Write a package whose console script runs a program."""
    (folder / "stand_in.py").write_text(f"def main():\n    {program}\n")
    metadata = folder / "stand_in-1.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text("[console_scripts]\nliquid-audio-demo = stand_in:main\n")
    return Tree("stand-in", folder, "")


def test_a_demo_that_does_not_start_says_why(tmp_path):
    with serving(demo(tmp_path, "raise RuntimeError('no driver')"), tmp_path, tmp_path) as server:
        assert server.url() is None and server.exception == "RuntimeError: no driver"


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_demo_is_stopped_after_ctrl_c_and_after_an_error(tmp_path, error):
    program = "import time; print('Running on local URL:  http://127.0.0.1:1'); time.sleep(600)"
    with pytest.raises(error), serving(demo(tmp_path, program), tmp_path, tmp_path) as server:
        assert server.url() == "http://127.0.0.1:1" and server.process.poll() is None
        raise error
    assert server.process.returncode and not server.file.exists()
