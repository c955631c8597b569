"""The arguments of public functions are annotated, and docstrings state shapes, units and errors."""

import inspect
import typing

import liquid_audio
import pytest
import torch

pytestmark = pytest.mark.host

CLASSES = ["LFM2AudioProcessor", "LFM2AudioModel"]


def unsaid(function, *words):
    """Return the words that a docstring lacks."""
    return [word for word in words if word not in (inspect.getdoc(function) or "")]


@pytest.mark.parametrize("name", CLASSES)
def test_device_defaults_to_auto(name):
    assert inspect.signature(getattr(liquid_audio, name).from_pretrained).parameters["device"].default == "auto"


@pytest.mark.parametrize("name", CLASSES)
def test_device_is_annotated_and_documented(name):
    function = getattr(liquid_audio, name).from_pretrained
    assert typing.get_type_hints(function.__func__)["device"] == torch.device | str
    if name == "LFM2AudioModel":  # its docstring refers to the processor's
        assert unsaid(function, "`repo_id` and `device` are those of `LFM2AudioProcessor.from_pretrained`") == []
    else:
        assert unsaid(function, "repo_id:", "device:", '"auto"', "cuda", "mps", "cpu") == []


def test_waveform_is_documented():
    said = [
        "(samples,)",
        "(channels, samples)",
        "(samples, channels)",
        "[-1, 1]",
        "full scale",
        "per second",
        "20ms",
        "soundfile",
    ]
    said += ["Up to 8 channels", "Interleaved", "not a batch", "TypeError:", "ValueError:"]
    assert unsaid(liquid_audio.ChatState.add_audio, *said) == []
