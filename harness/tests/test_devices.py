"""A device counts only if it computes, and a requested device is never skipped."""

import sys

import pytest
import torch

from harness import HarnessError, devices


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
