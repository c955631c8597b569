"""Runs take turns in the order in which they were added, a fixed number at once, and none outlives the queue."""

import subprocess
import sys
import threading
import time

import pytest

from harness.lane import run
from harness.lane.run import Started, Turns


class Suite:
    """Stands in for pytest with a process that does nothing."""

    def __init__(self, tree, lane, folder, *options, **how):
        if tree == "none":
            raise OSError("no space left")
        self.tree, self.how = tree, how
        self.process = subprocess.Popen(["sleep", "60"])

    def end(self):
        self.process.terminate()
        self.process.wait()


@pytest.fixture(autouse=True)
def suite(monkeypatch):
    monkeypatch.setattr(run, "start_suite", Suite)
    monkeypatch.setattr(run, "PATIENCE", 0.1)


def add(queue, tree, tmp_path):
    return queue.add(tree, "cpu", tmp_path)


def test_a_run_starts_when_one_before_it_has_ended(tmp_path):
    with Turns(2, [sys.executable]) as queue:
        a, b, c = (add(queue, tree, tmp_path) for tree in "abc")
        first, second = a.result(5), b.result(5)
        time.sleep(0.1)
        assert not c.done()
        second.end()
        assert c.result(5).tree == "c"
        assert first.process.poll() is None


def test_nothing_runs_or_starts_after_the_queue_is_left(tmp_path):
    with pytest.raises(KeyboardInterrupt), Turns(1, [sys.executable]) as queue:
        running, waiting = (add(queue, tree, tmp_path) for tree in "ab")
        running.result(5)
        raise KeyboardInterrupt
    assert running.result().process.poll() is not None
    assert not waiting.done()


def test_a_run_that_ctrl_c_ends_gives_its_turn_to_none(tmp_path, monkeypatch):
    def interrupted(*_):
        threading.Timer(0.1, b.result(5).end).start()  # the other run got the same Ctrl-C and ends a little later
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "watch", interrupted)
    monkeypatch.setattr(run, "PATIENCE", 1)
    with pytest.raises(KeyboardInterrupt), Turns(2, [sys.executable]) as queue:
        a, b, c = (add(queue, tree, tmp_path) for tree in "abc")
        log, collected, said = (tmp_path / name for name in ("log", "collected", "said"))
        Started(a.result(5).process, "cpu a", log, collected, said, time.monotonic()).finish(lambda *_: "")
    assert not c.done()


def test_a_run_that_cannot_start_says_why_and_the_next_one_runs(tmp_path):
    with Turns(1, [sys.executable]) as queue:
        broken, other = (add(queue, tree, tmp_path) for tree in ("none", "b"))
        assert other.result(5).process.poll() is None
        with pytest.raises(OSError, match=r"^no space left$"):
            broken.result(5)


@pytest.mark.parametrize(("runs", "share"), [(1, None), (2, 4)])
def test_each_run_has_its_share_of_the_processors(tmp_path, monkeypatch, runs, share):
    monkeypatch.setattr(run, "processors", lambda: 8)
    with Turns(runs, [sys.executable]) as queue:
        assert add(queue, "a", tmp_path).result(5).how.get("workers") == share


def test_a_run_with_a_processor_to_itself_is_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "processors", lambda: 2)
    with Turns(2, [sys.executable]) as queue:
        assert add(queue, "a", tmp_path).result(5).how["workers"] == 0


@pytest.mark.parametrize(
    ("lane", "processors", "runs"), [("cpu", 2, 2), ("sim", 64, 2), ("cpu", 1, 1), ("cuda", 64, 1), ("mps", 8, 1)]
)
def test_as_many_runs_are_beside_each_other_as_the_device_bears(monkeypatch, lane, processors, runs):
    monkeypatch.setattr(run, "processors", lambda: processors)
    assert run.at_once(lane) == runs
