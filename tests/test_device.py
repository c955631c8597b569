"""The default device is the best available one, an explicit device is used, and an unavailable one is an error."""

import linecache
import re
import warnings

import pytest
import torch

from harness.lane import devices
from harness.suite.expect import refused
from harness.suite.speech import clips, normalise, transcribe

CLASSES = {"processor": "LFM2AudioProcessor", "model": "LFM2AudioModel"}
FORMS = {"name": str, "device": torch.device, "first": "{}:0".format}
# A device type that torch knows, but that no build of torch computes on.
BROKEN = "maia"
# Every host lacks at least two of these, and no device is called "gpu".
ABSENT = [name for name in ("cuda", "mps", "xpu") if not devices.usable(name)]
MISSING = {"absent": ABSENT[0], "absent-too": ABSENT[1], "unknown": "gpu"}

pytestmark = pytest.mark.core
each_class = pytest.mark.parametrize("part", CLASSES)


@pytest.fixture
def load(liquid_audio, checkpoint):
    """Return a function that loads the processor or the model as users do."""

    def load(part, **kwargs):
        return getattr(liquid_audio, CLASSES[part]).from_pretrained(checkpoint, **kwargs).eval()

    return load


@pytest.fixture
def reports(monkeypatch):
    """Make torch report a device. If it is CUDA, torch also reports another accelerator, such as a registered backend."""

    def reports(name):
        accelerator = BROKEN if name == "cuda" else name
        monkeypatch.setattr(torch.cuda, "is_available", lambda: name == "cuda")
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available=False: torch.device(accelerator))

    return reports


def device_of(loaded):
    """Return the device of a model or processor."""
    return loaded.device if hasattr(loaded, "device") else next(loaded.parameters()).device


def complaint(device):
    """Return torch's own exception for an unavailable device."""
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        torch.empty(0, device=device)
    return caught.value


@each_class
@pytest.mark.parametrize("kwargs", [{}, {"device": "auto"}], ids=["default", "auto"])
def test_the_automatic_device_is_the_best_that_works_here(load, part, kwargs):
    assert device_of(load(part, **kwargs)).type == devices.preferred().type


def test_the_readme_recipe_transcribes_without_naming_a_device(load):
    processor, model, clip = load("processor"), load("model"), clips()[0]
    spoken = transcribe(processor, model, lambda chat: chat.add_audio(clip.mono(), clip.sampling_rate))
    assert normalise(spoken.text) == clip.text


@each_class
@pytest.mark.parametrize("broken", [BROKEN, "meta"])  # torch's meta device allocates, but gives no values
def test_an_accelerator_that_does_not_compute_is_passed_over_with_a_warning(load, part, reports, broken):
    # Like mps on hosted macOS runners, which is reported as available but fails at every allocation.
    reports(broken)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = load(part)
    assert device_of(loaded).type == "cpu"
    said = [warning for warning in caught if "does not compute" in str(warning.message)]
    assert [(warning.category, warning.filename) for warning in said] == [(UserWarning, __file__)]
    assert ".from_pretrained(" in linecache.getline(__file__, said[0].lineno)
    assert re.fullmatch(
        rf"{broken} is reported but does not compute \((Could not|Cannot) .+\), using cpu", str(said[0].message)
    )


@each_class
def test_a_cuda_host_chooses_cuda_and_raises_what_cuda_raises(load, part, reports):
    if "cuda" not in ABSENT:
        assert device_of(load(part)).type == "cuda"
        return
    expected = complaint("cuda")
    reports("cuda")
    with pytest.raises(type(expected)) as caught:
        load(part)
    assert str(caught.value) == str(expected)


def test_a_device_that_is_full_is_the_callers_to_handle(liquid_audio, load, monkeypatch, reports):
    tried = []

    def full(self, device=None, dtype=None):
        tried.append(str(device))
        raise torch.OutOfMemoryError("full")

    reports("cuda")
    monkeypatch.setattr(liquid_audio.LFM2AudioProcessor, "to", full)
    with refused(torch.OutOfMemoryError, "^full$"), warnings.catch_warnings(action="error"):
        load("processor")
    assert tried == ["cuda"]


def test_a_subclass_is_told_cuda_as_a_word(liquid_audio, checkpoint, reports):
    class Wordy(liquid_audio.LFM2AudioProcessor):
        def to(self, device=None, dtype=None):
            self.moved_to = device.partition(":")[0]
            return self

    reports("cuda")
    assert Wordy.from_pretrained(checkpoint).moved_to == "cuda"


@each_class
@pytest.mark.parametrize("form", FORMS)
def test_an_explicit_device_is_used_without_a_warning(load, part, device, form):
    with warnings.catch_warnings(action="error"):
        loaded = load(part, device=FORMS[form](device.type))
    assert device_of(loaded).type == device.type


@each_class
def test_an_explicit_device_is_used_where_another_would_be_chosen(load, part, reports):
    reports("cuda")
    assert device_of(load(part, device="cpu")).type == "cpu"


def test_a_processor_without_a_device_stays_where_it_is_made(load):
    assert load("processor", device=None).device.type == "cpu"


@each_class
@pytest.mark.parametrize("missing", MISSING)
def test_a_device_that_is_not_here_raises_what_torch_raises_with_a_note_on_those_that_are(load, part, missing):
    expected = complaint(MISSING[missing])
    with pytest.raises((AssertionError, RuntimeError)) as caught:
        load(part, device=MISSING[missing])
    here = sorted({"auto", "cpu", str(devices.preferred())})
    assert getattr(caught.value, "__notes__", []) == [f"expected one of: {', '.join(here)}"]
    assert (type(caught.value), str(caught.value)) == (type(expected), str(expected))
