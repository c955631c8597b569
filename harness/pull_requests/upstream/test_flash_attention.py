import pytest
import torch
from transformers import Lfm2Model

from liquid_audio import LFM2AudioModel


@pytest.mark.parametrize(
    ("loaded_on", "dtype", "chosen"),
    [
        ("cpu", torch.bfloat16, "sdpa"),
        ("cuda", torch.float32, "sdpa"),
        ("cuda", torch.float16, "flash_attention_2"),
        ("cuda", torch.bfloat16, "flash_attention_2"),
    ],
)
def test_flash_attention_is_for_cuda_in_half_precision(checkpoint, monkeypatch, loaded_on, dtype, chosen):
    asked = []
    monkeypatch.setattr("liquid_audio.model.lfm2_audio.module_exists", lambda name: True)
    monkeypatch.setattr(Lfm2Model, "set_attn_implementation", lambda self, name: asked.append(name))
    monkeypatch.setattr(Lfm2Model, "device", torch.device(loaded_on))  # which needs no GPU
    LFM2AudioModel.from_pretrained(checkpoint, device="cpu", dtype=dtype)
    assert asked == [chosen]
