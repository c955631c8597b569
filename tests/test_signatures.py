"""What the public functions take is annotated, and their docstrings say shapes, units and errors."""

import inspect
import typing

import numpy as np
import pytest
import torch

CLASSES = ["LFM2AudioProcessor", "LFM2AudioModel"]


@pytest.mark.parametrize("name", CLASSES)
def test_the_device_defaults_to_auto(liquid_audio, name):
    parameter = inspect.signature(getattr(liquid_audio, name).from_pretrained).parameters["device"]
    assert parameter.default == "auto"


@pytest.mark.parametrize("name", CLASSES)
def test_the_device_is_annotated_and_documented(liquid_audio, name):
    function = getattr(liquid_audio, name).from_pretrained
    assert typing.get_type_hints(function.__func__)["device"] == torch.device | str
    assert all(word in (inspect.getdoc(function) or "") for word in ("device:", '"auto"', "cuda", "mps", "cpu", "Raises:"))


def test_the_waveform_is_annotated(liquid_audio):
    hints = typing.get_type_hints(liquid_audio.ChatState.add_audio)
    assert set(typing.get_args(hints["wave"])) == {torch.Tensor, np.ndarray}
    assert hints["sampling_rate"] is int
    assert hints["return"] is type(None)


def test_the_waveform_is_documented(liquid_audio):
    doc = inspect.getdoc(liquid_audio.ChatState.add_audio) or ""
    assert all(
        word in doc
        for word in ("(samples,)", "(1, samples)", "[-1, 1]", "per second", "TypeError:", "ValueError:", "soundfile")
    )
