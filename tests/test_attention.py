"""flash-attention needs half precision and CUDA: it is chosen at load where the model has both, and not touched later.

No test here computes with it. Where it is chosen, transformers reports that it is not installed.
"""

from contextlib import nullcontext

import liquid_audio
import pytest
import torch

from harness.speech import clips

CLIP = clips()[0]
FLASH = "flash_attention_2"

pytestmark = pytest.mark.core


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """Install an empty package named flash_attn, which is looked up but not imported."""
    (tmp_path / "flash_attn").mkdir()
    (tmp_path / "flash_attn" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def cuda_host(monkeypatch):
    """Let transformers answer as on a CUDA host that has flash-attention: it can be chosen for any model."""

    def choose(self, name):
        self.config._attn_implementation = name

    monkeypatch.setattr("transformers.Lfm2Model.set_attn_implementation", choose)


def test_flash_attention_without_cuda_loads_with_sdpa(checkpoint, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device)
    assert model.lfm.config._attn_implementation == "sdpa"


@pytest.mark.usefixtures("cuda_host")
@pytest.mark.parametrize("dtype", ["default", "bfloat16", "float16", "float32", "float64", "default-of-torch"])
def test_flash_attention_is_chosen_for_half_precision_on_cuda(checkpoint, monkeypatch, dtype):
    monkeypatch.setattr("transformers.Lfm2Model.device", torch.device("cuda", 0))  # of the model, which is on the CPU
    kwargs = {} if dtype == "default" else {"dtype": getattr(torch, dtype, None)}
    torch.set_default_dtype(torch.bfloat16 if dtype == "default-of-torch" else torch.float32)
    try:
        model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu", **kwargs)
    finally:
        torch.set_default_dtype(torch.float32)
    assert model.lfm.config._attn_implementation == ("sdpa" if dtype in ("float32", "float64") else FLASH)


@pytest.mark.usefixtures("cuda_host")
def test_float32_model_with_flash_attention_installed_transcribes(checkpoint, transcribes, device):
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device, dtype=torch.float32).eval()
    transcribes(CLIP.text, CLIP.mono(), CLIP.sampling_rate, torch.float32, model)


@pytest.mark.host
@pytest.mark.usefixtures("cuda_host")
def test_cpu_model_with_flash_attention_installed_transcribes(checkpoint, transcribes):
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu").eval()
    transcribes(CLIP.text, CLIP.mono(), CLIP.sampling_rate, torch.bfloat16, model)


@pytest.mark.usefixtures("cuda_host")
@pytest.mark.parametrize("implementation", ["eager", FLASH])
def test_attention_set_by_user_is_kept(checkpoint, transcribes, device, implementation):
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device, dtype=torch.float32).eval()
    model.lfm.set_attn_implementation(implementation)
    # flash-attention is not installed here: transformers 5 and 4 say so.
    refuses = pytest.raises((ImportError, ValueError), match=r"(?i)flash|kernels")
    with refuses if implementation == FLASH else nullcontext():
        transcribes(CLIP.text, CLIP.mono(), CLIP.sampling_rate, torch.float32, model)
    assert model.lfm.config._attn_implementation == implementation
