"""A device counts only if it computes, a requested device is never skipped, and a run sees no other accelerator."""

import subprocess
import sys

import pytest
import torch

from harness import ROOT, HarnessError, devices, world


def test_the_cpu_computes():
    assert devices.require("cpu") == torch.device("cpu")


def test_a_device_that_torch_reports_and_that_does_not_compute_is_not_usable():
    assert not devices.usable("meta")


@pytest.mark.parametrize("name", ["meta", "gpu"])
def test_a_device_that_was_asked_for_and_is_not_usable_is_an_error(name):
    with pytest.raises(HarnessError, match=f"--device {name}: this {sys.platform} host cannot compute on it"):
        devices.require(name)


def test_a_missing_xla_says_which_session_has_it():
    with pytest.raises(HarnessError, match=r"^--device xla:0: [^\n]+: needs torch_xla: run `nox -s xla`$"):
        devices.require("xla:0")


def test_a_missing_mps_says_what_it_needs(monkeypatch):
    monkeypatch.setattr(devices, "usable", lambda name: False)
    with pytest.raises(HarnessError, match="needs macOS on Apple silicon"):
        devices.require("mps")


def test_cpu_of_a_host_with_another_accelerator_is_chosen_automatically(tmp_path):
    # A stand-in for a Mac: torch reports a device, which does not compute here.
    report = "import torch\ntorch.accelerator.current_accelerator = lambda check_available=False: torch.device('mps')\n"
    (tmp_path / "mac.py").write_text(report)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "mac",
        "-n",
        "0",
        "--basetemp",
        str(tmp_path / "base"),
        "tests/test_device.py",
    ]
    command += ["-k", "test_auto_is_the_device_that_torch_reports"]
    env = world.environment(PYTHONPATH=str(tmp_path))
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert "4 passed" in done.stdout, done.stdout[-2000:]
