"""The model answers: it speaks a text, and repeats what it heard in a chat, in the checkpoint's codes for the words."""

import liquid_audio
import pytest
import torch

from harness.speech import between_quiet, clips, digest, spoken_codes

pytestmark = pytest.mark.tiny

CLIPS = {clip.id: clip for clip in clips()}
TEXT_END, IM_END = 130, 7
SAYS = ["go forward ten meters", "hello world", "seven one five eight"]
# Two turns, each a clip or a text.
TURNS = {
    "heard-heard": ("human-forward-16k-mono", "human-no-48k-mono"),
    "heard-written": ("river-backward-44k-mono", "thank you"),
    "written-heard": ("press star", "human-six-48k-mono"),
}


def by_kind(tokens):
    """Split generated tokens into text (n,) and frames of codes (8, n)."""
    text = [int(t) for t in tokens if t.numel() == 1]
    frames = [t.cpu() for t in tokens if t.numel() > 1]
    return text, torch.stack(frames, 1) if frames else torch.empty((8, 0), dtype=torch.long)


def begin(processor, dtype, instruction):
    """Begin a chat with an instruction."""
    chat = liquid_audio.ChatState(processor, dtype=dtype)
    chat.new_turn("system")
    chat.add_text(instruction)
    chat.end_turn()
    return chat


def ask(chat, turn):
    """Add a turn of the user, a clip or a text, and return its words."""
    chat.new_turn("user")
    if clip := CLIPS.get(turn):
        chat.add_audio(clip.mono(), clip.sampling_rate)
    else:
        chat.add_text(turn)
    chat.end_turn()
    chat.new_turn("assistant")
    return clip.text if clip else turn


def speak(processor, model, text, **sampling):
    """Speak a text, as upstream's README does."""
    chat = begin(processor, next(model.parameters()).dtype, "Perform TTS. Use the UK male voice.")
    ask(chat, text)
    return list(model.generate_sequential(**chat, max_new_tokens=512, **sampling))


def converse(processor, model, turns, **sampling):
    """Chat, as upstream's README does. Yields the words so far and the generated tokens for each turn."""
    chat = begin(processor, next(model.parameters()).dtype, "Respond with interleaved text and audio.")
    words = []
    for turn in turns:
        words.append(ask(chat, turn))
        tokens = list(model.generate_interleaved(**chat, max_new_tokens=512, **sampling))
        yield " ".join(words), tokens
        text, frames = by_kind(tokens)
        flags = [1 if t.numel() == 1 else 3 for t in tokens]
        chat.append(torch.tensor([text]), frames, torch.tensor(flags))
        chat.end_turn()


@pytest.mark.parametrize(
    "text",
    [SAYS[0], *(pytest.param(text, marks=pytest.mark.core) for text in SAYS[1:])],
    ids=lambda text: text.replace(" ", "-"),
)
def test_text_to_speech_generates_expected_codes(processor, models, record_property, text):
    tokens = speak(processor, models(torch.float32), text)
    record_property("digest", digest(*tokens))
    written, frames = by_kind(tokens)
    assert written[-1] == IM_END
    assert frames.equal(spoken_codes(text, end=True))


@pytest.mark.parametrize("text", SAYS, ids=lambda text: text.replace(" ", "-"))
def test_synthesized_speech_transcribes_to_its_text(processor, models, transcribes, text):
    _, frames = by_kind(speak(processor, models(torch.bfloat16), text))
    wave = processor.decode(frames[None, :, :-1])
    assert wave.device.type == processor.device.type
    transcribes(text, between_quiet(wave, 24_000), 24_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("turns", TURNS)
def test_interleaved_chat_repeats_each_turn(processor, models, record_property, turns, dtype):
    bits = []
    for words, tokens in converse(processor, models(dtype), TURNS[turns]):
        text, frames = by_kind(tokens)
        bits += tokens
        assert text[-1] == TEXT_END
        assert processor.text.decode(text[:-1]) == words
        assert frames.equal(spoken_codes(words, end=True))
    record_property("digest", digest(*bits))


@pytest.mark.accelerator
def test_seeded_sampling_matches_cpu(processor, fresh, models, on_cpu, monkeypatch):
    draw = torch.multinomial  # a GPU draws other numbers than the CPU from the same seed
    monkeypatch.setattr(torch, "multinomial", lambda p, *args, **kwargs: draw(p.cpu(), *args, **kwargs).to(p.device))
    sampling = {"text_temperature": 1.0, "text_top_k": 4, "audio_temperature": 1.0, "audio_top_k": 4}

    def sample(processor, model):
        torch.manual_seed(7)
        return [t.tolist() for _, tokens in converse(processor, model, TURNS["heard-heard"], **sampling) for t in tokens]

    assert sample(processor, models(torch.float32)) == sample(fresh, on_cpu)


def test_streamed_mimi_matches_single_decode(processor, device, record_property):
    codes = spoken_codes("hello").to(device)[None]
    with torch.no_grad():
        whole = processor.mimi.decode(codes)
        with processor.mimi.streaming(1):
            streamed = torch.cat([processor.mimi.decode(codes[:, :, i : i + 1]) for i in range(codes.shape[2])], 2)
    record_property("digest", digest(streamed))
    assert streamed.device.type == device.type
    assert streamed.shape == (1, 1, 1920 * codes.shape[2])
    torch.testing.assert_close(streamed, whole, rtol=1e-3, atol=1e-4)
