"""flash-attention needs half precision and CUDA: it is chosen at load where the model has both, and not touched later.

No test here computes with it. Where it is chosen, transformers reports that it is not installed.
"""

import liquid_audio
import pytest
import torch

from harness.speech import clips, normalise, transcribe

CLIP = clips()[0]
FLASH = "flash_attention_2"

pytestmark = pytest.mark.core


def hear(processor, model, dtype):
    """Transcribe a clip."""
    spoken = transcribe(processor, model, CLIP.mono(), CLIP.sampling_rate, dtype)
    return normalise(spoken.text)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install an empty package named flash_attn, which is looked up but not imported."""
    (tmp_path / "flash_attn").mkdir()
    (tmp_path / "flash_attn" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)


@pytest.fixture
def cuda_host(installed, monkeypatch):
    """Let transformers answer as on a CUDA host that has flash-attention: it can be chosen for any model."""

    def choose(self, name):
        self.config._attn_implementation = name

    monkeypatch.setattr("transformers.Lfm2Model.set_attn_implementation", choose)


@pytest.mark.usefixtures("installed")
def test_flash_attention_without_cuda_loads_with_sdpa(checkpoint, monkeypatch, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device)
    assert model.lfm.config._attn_implementation == "sdpa"


@pytest.mark.usefixtures("cuda_host")
@pytest.mark.parametrize("dtype", ["default", "bfloat16", "float16", "float32", "float64"])
def test_flash_attention_is_chosen_for_half_precision_on_cuda(checkpoint, monkeypatch, dtype):
    monkeypatch.setattr("transformers.Lfm2Model.device", torch.device("cuda", 0))  # of the model, which is on the CPU
    kwargs = {} if dtype == "default" else {"dtype": getattr(torch, dtype)}
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu", **kwargs)
    assert model.lfm.config._attn_implementation == ("sdpa" if dtype in ("float32", "float64") else FLASH)


@pytest.mark.usefixtures("cuda_host")
def test_flash_attention_is_chosen_for_the_default_dtype_of_torch(checkpoint, monkeypatch):
    monkeypatch.setattr("transformers.Lfm2Model.device", torch.device("cuda", 0))
    torch.set_default_dtype(torch.bfloat16)
    try:
        model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu", dtype=None)
    finally:
        torch.set_default_dtype(torch.float32)
    assert model.lfm.config._attn_implementation == FLASH


@pytest.mark.usefixtures("cuda_host")
def test_float32_model_with_flash_attention_installed_transcribes(checkpoint, processor, device):
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device, dtype=torch.float32).eval()
    assert hear(processor, model, torch.float32) == CLIP.text


@pytest.mark.host
@pytest.mark.usefixtures("cuda_host")
def test_cpu_model_with_flash_attention_installed_transcribes(checkpoint, processor):
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="cpu").eval()
    assert hear(processor, model, torch.bfloat16) == CLIP.text


@pytest.mark.usefixtures("cuda_host")
@pytest.mark.parametrize("implementation", ["eager", FLASH])
def test_attention_set_by_user_is_kept(checkpoint, processor, device, implementation):
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device=device, dtype=torch.float32).eval()
    model.lfm.set_attn_implementation(implementation)
    if implementation == FLASH:  # which is not installed here: transformers 5 and 4 say so
        with pytest.raises((ImportError, ValueError), match=r"(?i)flash|kernels"):
            hear(processor, model, torch.float32)
    else:
        assert hear(processor, model, torch.float32) == CLIP.text
    assert model.lfm.config._attn_implementation == implementation
