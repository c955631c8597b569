"""A profile says what a process did, by the frames of its stack, in a real run."""

import json
import os
import subprocess
import sys

import pytest

from harness import ROOT, world
from harness.suite.sampling import KINDS, PLACES

TESTS = """
import subprocess, sys, time

def test_waits_for_a_program():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(0.5)"])

def test_thinks_for_itself():
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        sum(range(1000))
"""


@pytest.mark.parametrize("options", [(), ("--numprocesses", "2")], ids=["alone", "workers"])
def test_a_run_says_what_it_did(tmp_path, options):
    (tmp_path / "test_two.py").write_text(TESTS)
    sampling = ("-p", "harness.suite.sampling", "--sampled", ".", "--since", "0")
    command = [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", *sampling, *options, "test_two.py"]
    subprocess.run(command, cwd=tmp_path, env=world.environment(PYTHONPATH=str(ROOT)), check=True, capture_output=True)
    found = [json.loads(file.read_text()) for file in sorted(tmp_path.glob("*.json"))]
    assert len(found) == (2 if options else 1)
    total = {kind: sum(seconds.get(kind, 0) for seconds in found) for kind in KINDS}
    assert {kind for seconds in found for kind in seconds} <= set(KINDS)
    assert total["programs"] > 0.4 and total["tests"] > 0.4
    assert total["decode"] == 0


def test_what_the_package_does_is_found_by_names_that_it_has(liquid_audio):
    classes = {
        "processor.py": (liquid_audio.LFM2AudioProcessor, liquid_audio.ChatState),
        "lfm2_audio.py": (liquid_audio.LFM2AudioModel,),
    }
    named = [(classes[end], function) for end, function, _ in PLACES if end in classes]
    assert len(named) == 9
    assert [function for owners, function in named if not any(function in vars(owner) for owner in owners)] == []
