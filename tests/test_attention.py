"""flash-attention needs half precision and a GPU: it is chosen on CUDA hosts, and given up where it cannot run.

No test here computes with it. If it stays chosen, transformers reports that it is not installed.
"""

import contextlib
import copy

import pytest
import torch

from harness.suite.speech import clips, normalise, transcribe

CLIP = clips()[0]
CHOSEN = "flash_attention_2"

pytestmark = pytest.mark.core


@pytest.fixture
def flashing(models):
    """Return a function that copies the model as a CUDA host with flash-attention loads it, whatever its device and dtype."""

    def flashing(dtype):
        model = copy.deepcopy(models(dtype))
        model.lfm.config._attn_implementation = CHOSEN
        return model

    return flashing


def hear(processor, model, dtype):
    """Transcribe a clip."""
    spoken = transcribe(processor, model, lambda chat: chat.add_audio(CLIP.mono(), CLIP.sampling_rate), dtype)
    return normalise(spoken.text)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install an empty package named flash_attn, which is looked up but not imported."""
    (tmp_path / "flash_attn").mkdir()
    (tmp_path / "flash_attn" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("installed")
def test_a_host_that_has_flash_attention_and_no_cuda_loads(liquid_audio, checkpoint, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device)
    assert model.lfm.config._attn_implementation == "sdpa"


@pytest.mark.usefixtures("installed")
def test_a_cuda_host_that_has_flash_attention_asks_transformers_for_it(liquid_audio, checkpoint, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("transformers.Lfm2Model.set_attn_implementation", lambda self, name: asked.append(name))
    liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu")
    assert asked == [CHOSEN]


def test_a_model_in_float32_gives_the_spoken_words(processor, flashing):
    assert hear(processor, flashing(torch.float32), torch.float32) == CLIP.text


@pytest.mark.host
def test_a_model_on_the_cpu_gives_the_spoken_words(processor, flashing):
    assert hear(processor, flashing(torch.bfloat16), torch.bfloat16) == CLIP.text


@pytest.mark.accelerator
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bfloat16", "float16"])
def test_what_flash_attention_can_compute_stays_with_it(processor, flashing, dtype):
    model = flashing(dtype)
    with contextlib.suppress(ImportError, ValueError):  # raised by transformers 5 and 4 if it is not installed
        hear(processor, model, dtype)
    assert model.lfm.config._attn_implementation == CHOSEN
