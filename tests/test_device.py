"""The device that nobody named is the best one here, the one that somebody named is used, and the rest is refused."""

import re
import warnings

import pytest
import torch

from harness import devices
from harness.expect import refused
from harness.speech import clips, normalise, transcribe

CLASSES = {"processor": "LFM2AudioProcessor", "model": "LFM2AudioModel"}
FORMS = {"name": str, "device": torch.device, "first": "{}:0".format}
MISSING = [name for name in ("cuda", "mps", "xpu", "gpu") if not devices.usable(name)]

pytestmark = pytest.mark.core
each_class = pytest.mark.parametrize("part", CLASSES)


@pytest.fixture
def load(liquid_audio, checkpoint):
    """Load processor or model as users do."""

    def load(part, **kwargs):
        return getattr(liquid_audio, CLASSES[part]).from_pretrained(checkpoint, **kwargs).eval()

    return load


def device_of(loaded):
    """Return where a model or processor is."""
    return loaded.device if hasattr(loaded, "device") else next(loaded.parameters()).device


@each_class
@pytest.mark.parametrize("kwargs", [{}, {"device": "auto"}], ids=["default", "auto"])
def test_the_automatic_device_is_the_best_that_works_here(load, part, kwargs):
    assert device_of(load(part, **kwargs)).type == devices.preferred().type


def test_the_readme_recipe_transcribes_without_naming_a_device(load):
    processor, model, clip = load("processor"), load("model"), clips()[0]
    spoken = transcribe(processor, model, lambda chat: chat.add_audio(clip.mono(), clip.sampling_rate))
    assert normalise(spoken.text) == clip.text


@each_class
@pytest.mark.parametrize("broken", [name for name in ("cuda", "mps") if name in MISSING])
def test_an_automatic_device_that_fails_at_the_move_falls_back_to_the_cpu_with_a_warning(load, part, monkeypatch, broken):
    # What hosted macOS runners do with mps: reported as available, and every allocation fails.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: broken == "cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: broken == "mps")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = load(part)
    assert device_of(loaded).type == "cpu"
    assert any(re.match(rf"cannot use {broken} \(.+\), using cpu: ", str(warning.message)) for warning in caught)


@pytest.mark.host
def test_a_failure_on_the_cpu_is_raised_and_not_tried_again(liquid_audio, load, monkeypatch):
    tried = []

    def broken(self, device=None, dtype=None):
        tried.append(device)
        raise RuntimeError("broken")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: None)
    monkeypatch.setattr(liquid_audio.LFM2AudioProcessor, "to", broken)
    with refused(RuntimeError, "^broken$"):
        load("processor", device="auto")
    assert len(tried) == 1


@each_class
@pytest.mark.parametrize("form", FORMS)
def test_an_explicit_device_is_used_without_a_warning(load, part, device, form):
    with warnings.catch_warnings(action="error"):
        loaded = load(part, device=FORMS[form](device.type))
    assert device_of(loaded).type == device.type


@each_class
@pytest.mark.parametrize("missing", MISSING)
def test_a_device_that_is_not_here_is_refused_naming_those_that_are(load, part, missing):
    with refused(RuntimeError, rf'^device "{missing}" cannot be used here, expected "auto" or one of: .*cpu$'):
        load(part, device=missing)
