"""Processor, chat and model may each be on any device, and a copy of a processor is independent."""

import copy
import pickle

import liquid_audio
import pytest
import torch

from harness.speech import clips, digest, mel, normalise

CLIP = clips()[0]
# An answer: two tokens of text, a frame of codes, and their modality flags.
ANSWER = TOKENS, FRAME, FLAGS = torch.tensor([[1, 2]]), torch.arange(8)[:, None], torch.tensor([1, 1, 3])


def heard(processor):
    """Return the features that a processor makes from the clip."""
    return mel(processor, CLIP.mono(), CLIP.sampling_rate)


@pytest.mark.core
@pytest.mark.parametrize(
    ("method", "arguments", "lengths"),
    [("add_text", ("Perform ASR.",), [4, 0, 4]), ("append", ANSWER, [3, 1, 4])],
    ids=["add_text", "append"],
)
def test_additions_stay_on_the_chat_device(fresh, elsewhere, method, arguments, lengths):
    chat = liquid_audio.ChatState(fresh)
    fresh.to(elsewhere)
    getattr(chat, method)(*arguments)
    assert {tensor.device.type for tensor in chat.values()} == {"cpu"}
    assert chat.device.type == "cpu"
    assert [chat[name].shape[1] for name in ("text", "audio_out", "modality_flag")] == lengths


@pytest.mark.core
def test_chat_subclass_reads_device_before_text_exists(processor):
    class Chat(liquid_audio.ChatState):
        def __init__(self, processor):
            self.proc = processor
            self.text = torch.tensor([[1]], device=self.device)

    assert Chat(processor).device.type == processor.device.type


@pytest.mark.core
@pytest.mark.accelerator
def test_added_audio_joins_audio_when_text_was_moved(processor, device):
    chat = liquid_audio.ChatState(processor)
    chat.text = chat.text.cpu()
    chat.add_audio(CLIP.mono(), CLIP.sampling_rate)
    assert chat.audio_in.device.type == device.type


@pytest.mark.core
def test_audio_history_is_embedded_at_its_modality_flags(processor, models, record_property):
    model, chat = models(torch.bfloat16), liquid_audio.ChatState(processor, dtype=torch.bfloat16)
    chat.append(*ANSWER)
    with torch.no_grad():
        embedded = model._prefill(**chat)
        frame = model.audio_embedding(FRAME[:, 0].to(model.codebook_offsets.device) + model.codebook_offsets).sum(0)
    record_property("digest", digest(embedded))
    assert embedded.shape[1] == 4
    torch.testing.assert_close(embedded[0, 3], frame)


@pytest.mark.core
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=["bfloat16", "float32"])
def test_chat_without_audio_generates(processor, models, record_property, dtype):
    chat = liquid_audio.ChatState(processor, dtype=dtype)
    chat.add_text("Perform TTS.")
    tokens = list(models(dtype).generate_sequential(**chat, max_new_tokens=4))
    record_property("digest", digest(*tokens))
    assert 1 <= len(tokens) <= 4


@pytest.mark.core
@pytest.mark.accelerator
@pytest.mark.parametrize("of_model", ["cpu", "device"], ids="model-{}".format)
@pytest.mark.parametrize("of_chat", ["cpu", "device"], ids="chat-{}".format)
@pytest.mark.parametrize("of_processor", ["cpu", "device"], ids="processor-{}".format)
def test_processor_chat_and_model_on_different_devices(fresh, on_cpu, models, device, of_processor, of_chat, of_model):
    where = {"cpu": torch.device("cpu"), "device": device}
    model = on_cpu if of_model == "cpu" else models(torch.float32)
    chat = liquid_audio.ChatState(fresh.to(where[of_chat]), dtype=torch.float32)
    fresh.to(where[of_processor])
    chat.add_text("<|im_start|>system\nPerform ASR.<|im_end|>\n<|im_start|>user\n")
    chat.add_audio(CLIP.mono(), CLIP.sampling_rate)
    chat.add_text("<|im_end|>\n<|im_start|>assistant\n")
    tokens = list(model.generate_sequential(**chat, max_new_tokens=64))
    assert normalise(fresh.text.decode(torch.cat(tokens).cpu(), skip_special_tokens=True)) == CLIP.text
    chat.append(torch.stack(tokens, 1), chat.audio_out, torch.ones(len(tokens), dtype=torch.long))
    assert {tensor.device.type for tensor in chat.values()} == {where[of_chat].type}


@pytest.mark.core
def test_deepcopied_processor_uses_its_own_buffers(fresh):
    other = copy.deepcopy(fresh)
    before = heard(other)
    fresh.audio.featurizer.fb.zero_()
    assert digest(heard(fresh)) != digest(before)
    assert digest(heard(other)) == digest(before)


@pytest.mark.core
def test_pickled_processor_keeps_device_and_mel(checkpoint, device):
    # Not the one that tests share, which may hold hundreds of megabytes of Mimi by now.
    processor = liquid_audio.LFM2AudioProcessor.from_pretrained(checkpoint, device=device).eval()
    other = pickle.loads(pickle.dumps(processor))
    assert other.device.type == device.type
    assert heard(other).equal(heard(processor))


def test_featurizer_output_requires_no_grad(fresh):
    wave = CLIP.mono().requires_grad_()
    mel, _ = fresh.audio.featurizer(wave, torch.tensor([wave.shape[1]]))
    assert not mel.requires_grad
