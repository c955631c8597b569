import runpy
from contextlib import nullcontext

import pytest
import torch

from liquid_audio import LFM2AudioModel, LFM2AudioProcessor, utils


def device_of(module):
    (device,) = {tensor.device.type for tensor in [*module.parameters(), *module.buffers()]}
    return device


@pytest.mark.parametrize(
    ("cuda", "accelerator", "chosen"),
    [(True, torch.device("mps"), "cuda"), (False, torch.device("mps"), "mps"), (False, None, "cpu")],
)
def test_auto_is_cuda_then_another_accelerator_then_the_cpu(monkeypatch, cuda, accelerator, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: accelerator)
    assert str(utils.choose_device("auto")) == chosen


def test_processor_and_model_choose_the_same_device(checkpoint):
    processor, model = LFM2AudioProcessor.from_pretrained(checkpoint), LFM2AudioModel.from_pretrained(checkpoint)
    assert device_of(model) == processor.device.type


def test_the_demo_loads_on_one_device(checkpoint, processor, monkeypatch):
    codes = []
    mimi = type(processor.mimi)
    monkeypatch.setattr(mimi, "streaming", lambda self, batch_size: nullcontext(), raising=False)
    monkeypatch.setattr(mimi, "decode", lambda self, x: codes.append(x.device.type), raising=False)
    for module in ("processor", "model.lfm2_audio"):
        monkeypatch.setattr(f"liquid_audio.{module}.get_model_dir", lambda repo_id, revision: checkpoint)
    demo = runpy.run_module("liquid_audio.demo.model")
    assert {device_of(demo["mimi"]), device_of(demo["lfm2_audio"]), *codes} == {demo["proc"].device.type}
