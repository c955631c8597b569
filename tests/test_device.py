"""The default device is the one that torch reports, an explicit device is used, and an unavailable one raises torch's error."""

import warnings

import liquid_audio
import pytest
import torch

from harness import devices
from harness.speech import clips, normalise, transcribe

CLASSES = {"processor": liquid_audio.LFM2AudioProcessor, "model": liquid_audio.LFM2AudioModel}
# A device type that torch knows, but that no build of torch computes on, like mps on a host that reports it and lacks it.
BROKEN = "maia"
# Every host lacks at least two of these.
ABSENT = [name for name in ("cuda", "mps", "xpu") if not devices.usable(name)]

pytestmark = pytest.mark.core
each_class = pytest.mark.parametrize("part", CLASSES)


@pytest.fixture
def load(checkpoint):
    """Return a function that loads the processor or the model as users do."""
    return lambda part, **kwargs: CLASSES[part].from_pretrained(checkpoint, **kwargs).eval()


@pytest.fixture
def reports(monkeypatch):
    """Make torch report an accelerator, available or not, with or without CUDA beside it."""

    def reports(accelerator, available=True, cuda=False):
        found = {True: torch.device(accelerator) if available else None, False: torch.device(accelerator)}
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: found[check_available])

    return reports


def device_of(loaded):
    """Return the device of a model or processor."""
    return loaded.device if hasattr(loaded, "device") else next(loaded.parameters()).device


def errors(device):
    """Return torch's own exceptions for an unavailable device: for a tensor that is moved there, and for one that is made there."""
    for use in (torch.ones(0).to, lambda device: torch.empty(0, device=device)):
        with pytest.raises((AssertionError, RuntimeError)) as caught:
            use(device)
        yield type(caught.value), str(caught.value)


@each_class
@pytest.mark.parametrize("kwargs", [{}, {"device": "auto"}], ids=["default", "auto"])
def test_auto_is_the_device_that_torch_reports(load, part, device, kwargs):
    expected = "cpu" if device.type == "xla" else device.type  # torch does not report xla
    assert device_of(load(part, **kwargs)).type == expected


def test_readme_recipe_transcribes_without_naming_a_device(load):
    processor, model, clip = load("processor"), load("model"), clips()[0]
    spoken = transcribe(processor, model, clip.mono(), clip.sampling_rate)
    assert normalise(spoken.text) == clip.text


@each_class
def test_auto_is_cpu_without_available_accelerator(load, part, reports):
    reports(BROKEN, available=False)
    assert device_of(load(part)).type == "cpu"


@each_class
def test_auto_raises_error_of_reported_accelerator(load, part, reports):
    reports(BROKEN)
    with pytest.raises(RuntimeError, match=f"(?i){BROKEN}"):
        load(part)


@each_class
def test_auto_prefers_cuda_and_raises_its_error(load, part, reports):
    if "cuda" not in ABSENT:
        assert device_of(load(part)).type == "cuda"
        return
    expected = list(errors("cuda"))
    reports(BROKEN, cuda=True)  # a registered backend, which torch reports before CUDA
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        load(part)
    assert (type(caught.value), str(caught.value)) in expected


def test_auto_passes_cuda_to_subclass_as_str(checkpoint, reports):
    class Wordy(liquid_audio.LFM2AudioProcessor):
        def to(self, device=None, dtype=None):
            self.moved_to = device.partition(":")[0]
            return self

    reports(BROKEN, cuda=True)
    assert Wordy.from_pretrained(checkpoint).moved_to == "cuda"


@each_class
@pytest.mark.parametrize("form", [str, torch.device, "{}:0".format], ids=["name", "device", "first"])
def test_explicit_device_is_used_without_warning(load, part, device, form):
    with warnings.catch_warnings(action="error"):
        loaded = load(part, device=form(device.type))
    assert device_of(loaded).type == device.type


@each_class
def test_explicit_device_overrides_auto(load, part, reports):
    reports(BROKEN, cuda=True)
    assert device_of(load(part, device="cpu")).type == "cpu"


def test_device_none_leaves_processor_on_cpu(load):
    assert load("processor", device=None).device.type == "cpu"


@each_class
@pytest.mark.parametrize("unavailable", [*ABSENT[:2], "gpu"], ids=["absent", "absent-too", "unknown"])
def test_unavailable_device_raises_torch_error(load, part, unavailable):
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        load(part, device=unavailable)
    assert (type(caught.value), str(caught.value)) in errors(unavailable)
    assert not hasattr(caught.value, "__notes__")


def test_model_is_in_bfloat16_by_default(load, device):
    assert {parameter.dtype for parameter in load("model", device=device).parameters()} == {torch.bfloat16}
