"""A chat follows its processor, a copy of a processor stands alone, and a mix of devices is named."""

import copy
import pickle
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
import torch

from harness import devices
from harness.expect import refused
from harness.speech import clips, mel_digest, normalise, transcribe

CLIP = clips()[0]
TOKENS = torch.tensor([[1, 2]])


def add_nothing(chat):
    """Leave a chat as it is."""


def add_text(chat):
    """Add a turn of text."""
    chat.add_text("Perform ASR.")


def append(chat):
    """Add what a model gave: two tokens of text, no audio."""
    chat.append(text=TOKENS, audio_out=torch.empty((8, 0), dtype=torch.long), modality_flag=torch.ones_like(TOKENS))


@pytest.mark.core
@pytest.mark.parametrize("add", [add_nothing, add_text, append], ids=lambda add: add.__name__)
def test_a_chat_follows_its_processor(liquid_audio, fresh, elsewhere, add):
    chat = liquid_audio.ChatState(fresh)
    fresh.to(elsewhere)
    add(chat)
    assert {tensor.device.type for tensor in chat.values()} == {elsewhere.type}


@pytest.mark.core
@pytest.mark.accelerator
def test_a_chat_begun_before_the_move_gives_the_spoken_words(fresh, models, device):
    def move_and_add(chat):
        fresh.to(device)
        chat.add_audio(CLIP.mono(), CLIP.sampling_rate)

    assert normalise(transcribe(fresh, models(torch.float32), move_and_add, torch.float32).text) == CLIP.text


@pytest.mark.core
def test_a_copied_processor_computes_by_itself(fresh):
    other = copy.deepcopy(fresh)
    before = mel_digest(other, CLIP)
    fresh.audio.featurizer.fb.zero_()
    assert mel_digest(fresh, CLIP) != before
    assert mel_digest(other, CLIP) == before


@pytest.mark.core
@pytest.mark.accelerator
def test_a_copied_processor_moves_by_itself(fresh, models, device):
    other = copy.deepcopy(fresh).to(device)
    spoken = transcribe(
        other, models(torch.float32), lambda chat: chat.add_audio(CLIP.mono(), CLIP.sampling_rate), torch.float32
    )
    assert normalise(spoken.text) == CLIP.text
    assert fresh.device.type == "cpu"


@pytest.mark.core
def test_a_pickled_processor_is_on_the_device_and_gives_the_same_mel(processor, device):
    other = pickle.loads(pickle.dumps(processor))
    assert other.device.type == device.type
    assert mel_digest(other, CLIP) == mel_digest(processor, CLIP)


def test_a_spawned_worker_takes_a_processor(fresh, device):
    pickled = pickle.dumps(fresh.to(device))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=devices.require, initargs=(str(device),)) as pool:
        assert pool.submit(mel_digest, pickled, CLIP).result() == mel_digest(fresh, CLIP)


@pytest.mark.core
@pytest.mark.accelerator
@pytest.mark.parametrize("elsewhere", ["model", "processor"])
def test_a_model_and_a_processor_on_different_devices_are_named(liquid_audio, checkpoint, device, elsewhere):
    on_device, on_cpu = {"device": device}, {"device": "cpu"}
    processor = liquid_audio.LFM2AudioProcessor.from_pretrained(
        checkpoint, **(on_device if elsewhere == "processor" else on_cpu)
    )
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, **(on_device if elsewhere == "model" else on_cpu)).eval()
    names = (
        rf"the model is on {device.type}\S*, its input on cpu"
        if elsewhere == "model"
        else rf"on cpu, its input on {device.type}"
    )
    with refused(RuntimeError, names):
        transcribe(processor, model, lambda chat: chat.add_audio(CLIP.mono(), CLIP.sampling_rate))


@pytest.mark.host
def test_an_embedding_that_fails_on_one_device_says_why(liquid_audio, processor, models):
    chat = liquid_audio.ChatState(processor)
    chat.add_text("hello")
    chat.text = chat.text.float()
    with refused(RuntimeError, "indices"):
        next(models(torch.float32).generate_sequential(**chat))
