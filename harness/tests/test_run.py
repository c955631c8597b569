"""A run is a process of its own: it takes no plugin that happens to be installed, and leaves none of its workers."""

import subprocess
import time
from types import SimpleNamespace

import pytest
import torch

from harness import run as runner
from harness.run import environment, start

TESTS = """\
import os, signal, time
def test_dies(): print("last words", flush=True); os.kill(os.getpid(), signal.SIGKILL)
def test_lives(): assert True
def test_sleeps(): open(str(os.getpid()), "w"); time.sleep(600)
"""


@pytest.fixture
def run(tmp_path):
    """Return a function that starts one test."""

    def run(test, *options):
        (tmp_path / "test_it.py").write_text(TESTS)
        log, said = tmp_path / "log", tmp_path / "said"
        arguments = ["-c", "/dev/null", "--rootdir", str(tmp_path), "-s", "--report-log", str(log), *options]
        return start([*arguments, f"test_it.py::{test}"], log, said, environment("cpu"), folder=tmp_path)

    return run


def test_a_run_that_is_killed_did_not_finish_and_says_its_last_line(run):
    found, _ = run("test_dies").finish()
    assert (found.finished, found.last) == (False, "test_it.py last words")


def test_a_worker_that_is_killed_fails_its_test(run):
    found, _ = run("test_dies", "-n", "1").finish()
    (result,) = found.results.values()
    assert found.status == 1 and result.outcome == "failed" and "crashed" in result.message


def test_a_run_that_takes_too_long_is_killed_with_its_workers(run, tmp_path):
    started = run("test_sleeps", "-n", "1")
    while not (workers := [file.name for file in tmp_path.iterdir() if file.name.isdecimal()]):
        time.sleep(0.1)
    assert not started.finish(0)[0].finished
    shown = subprocess.run(["ps", "-o", "stat=", "-p", workers[0]], stdout=subprocess.PIPE).stdout
    assert shown.strip()[:1] in (b"", b"Z")


@pytest.mark.parametrize(("options", "outcome"), [((), "passed"), (("-p", "foreign"), "failed")])
def test_a_plugin_that_happens_to_be_installed_is_not_loaded(run, tmp_path, monkeypatch, options, outcome):
    (tmp_path / "foreign.py").write_text("def pytest_runtest_call(item): raise OSError\n")
    (tmp_path / "foreign-1.dist-info").mkdir()
    (tmp_path / "foreign-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1\n")
    (tmp_path / "foreign-1.dist-info" / "entry_points.txt").write_text("[pytest11]\nforeign = foreign\n")
    monkeypatch.syspath_prepend(tmp_path)
    (result,) = run("test_lives", *options).finish()[0].results.values()
    assert result.outcome == outcome


@pytest.mark.parametrize(("gigabytes", "workers"), [(2, 1), (8, 2), (80, 4)])
def test_workers_fit_into_the_memory_of_a_gpu(monkeypatch, gigabytes, workers):
    monkeypatch.setattr(runner, "processors", lambda: 16)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=gigabytes * 1e9))
    assert (runner.most_workers("cuda"), runner.most_workers("cpu")) == (workers, 16)
