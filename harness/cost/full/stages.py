"""A process that loads the full-size model and times its stages: `python -m harness.cost.full.stages FOLDER --dtype bfloat16`.

It prints one JSON object. With `--load`, it stops once the model is loaded.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from harness.cost import memory
from harness.cost.full.computed import tokens_of

RATE, LENGTHS, WHOLE = 16_000, (10, 20, 30, 60), (10, 30)
TOKENS, FRAMES, ROUNDS = 12, 6, 3


class Bench:
    """The model and its processor, with what was measured."""

    def __init__(self, folder: Path, dtype: str, device: str | None) -> None:
        import torch
        from liquid_audio import ChatState, LFM2AudioModel, LFM2AudioProcessor

        self.dtype = getattr(torch, dtype)
        named = {"device": device} if device else {}
        self._most = 0
        start = time.perf_counter()
        self.model = LFM2AudioModel.from_pretrained(folder, dtype=self.dtype, **named).eval()
        self.device = str(self.model.codebook_offsets.device)
        self._wait()
        self.found: dict[str, Any] = {
            "load s": time.perf_counter() - start,
            "load peak B": self._peak(),
            "device": self.device,
        }
        start = time.perf_counter()
        self.processor = LFM2AudioProcessor.from_pretrained(folder, **named).eval()
        self.found["processor s"] = time.perf_counter() - start
        self._chat_state = ChatState

    def _wait(self) -> None:
        from harness.cost.full.limits import wait

        wait(self.device)

    def _peak(self) -> int:
        import torch

        return torch.cuda.max_memory_allocated() if self.device.startswith("cuda") else memory.peak()

    def most(self) -> int:
        """Return the peak memory so far."""
        return max(self._most, self._peak())

    def _time(self, call: Callable[[], Any]) -> float:
        """Return the median time of several calls, after one that does not count."""
        from harness.cost.full.limits import timed

        call()
        return median(timed(call, self.device) for _ in range(ROUNDS))

    def chat(self, seconds: float) -> Any:
        """Return a chat with so many seconds of noise, ready for transcription."""
        import torch

        chat = self._chat_state(self.processor, dtype=self.dtype)
        chat.add_text("<|im_start|>system\nPerform ASR.<|im_end|>\n<|im_start|>user\n")
        chat.add_audio(torch.randn(1, int(RATE * seconds), generator=torch.Generator().manual_seed(0)) * 0.1, RATE)
        chat.add_text("<|im_end|>\n<|im_start|>assistant\n")
        return chat

    def stages(self, seconds: float) -> dict[str, float]:
        """Time each stage of a turn with so many seconds of audio, and count the operations of encoder and prefill."""
        import torch

        self._most = self.most()
        forget = memory.forget()
        before = memory.peak()
        chat = self.chat(seconds)
        with torch.no_grad():
            embedded = self.model._prefill(**chat)
            found = {
                "features": self._time(lambda: self.chat(seconds)),
                "encoder": self._time(lambda: self.model._prefill(**chat)),
                "prefill": self._time(lambda: self.model.lfm(inputs_embeds=embedded, use_cache=True)),
                **self._steps(embedded),
                "encoder operations": self._operations(lambda: self.model._prefill(**chat)),
                "prefill operations": self._operations(lambda: self.model.lfm(inputs_embeds=embedded, use_cache=True)),
            }
        more = {"peak above the model B": float(memory.peak() - before)} if forget and self.device == "cpu" else {}
        return {"positions": float(embedded.shape[1]), **found, **more}

    def _steps(self, embedded: Any) -> dict[str, float]:
        """Time one token of text, and what a frame of audio takes on top of the same step of the backbone."""
        from torch import nn

        model = self.model
        out = model.lfm(inputs_embeds=embedded, use_cache=True)
        cache, hidden = out.past_key_values, out.last_hidden_state
        weight = model.lfm.embed_tokens.weight

        def token() -> None:
            nonlocal hidden
            chosen = nn.functional.linear(hidden[0, -1], weight).argmax(keepdim=True)
            step = model.lfm(inputs_embeds=model.lfm.embed_tokens(chosen)[None, :], past_key_values=cache, use_cache=True)
            hidden = step.last_hidden_state

        def frame() -> None:
            codes = model._sample_audio_frame(hidden[0, -1])
            model.audio_embedding(codes + model.codebook_offsets).sum(0)

        return {
            "token": self._time(lambda: _repeat(token, TOKENS)) / TOKENS,
            "frame": self._time(lambda: _repeat(frame, FRAMES)) / FRAMES,
        }

    def _operations(self, call: Callable[[], Any]) -> float:
        """Count floating point operations, including attention on the CPU, which torch's table leaves out."""
        import torch
        from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

        def attention(query: Any, key: Any, value: Any, *args: Any, out_shape: Any = None, **more: Any) -> int:
            return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

        table = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: attention}
        with FlopCounterMode(display=False, custom_mapping=table) as counter:
            call()
        return float(counter.get_total_flops())

    def whole(self, seconds: float) -> dict[str, float]:
        """Time transcription from samples to tokens, with as many tokens as speech of that length has."""
        wanted = tokens_of(seconds)
        made = 0

        def call() -> None:
            nonlocal made
            made = sum(1 for _ in self.model.generate_sequential(**self.chat(seconds), max_new_tokens=wanted))

        from harness.cost.full.limits import timed

        call()
        took = [timed(call, self.device) for _ in range(2)]
        return {"seconds": min(took), "tokens": float(made), "wanted": float(wanted)}

    def weights(self) -> dict[str, float]:
        """Return the number of parameters, and the bytes of them that a token and a frame read."""

        def size(*modules: Any) -> float:
            return float(sum(p.numel() * p.element_size() for module in modules for p in module.parameters()))

        model = self.model
        return {
            "parameters": float(sum(p.numel() for p in model.parameters())),
            # The embedding is also the head of text, which reads all of it.
            "token B": size(model.lfm),
            # The depthformer runs once for each codebook, with the embedding of that codebook as its head.
            "frame B": size(model.depth_linear, model.depth_embeddings) + model.codebooks * size(model.depthformer),
        }


def _repeat(call: Callable[[], None], times: int) -> None:
    for _ in range(times):
        call()


@contextmanager
def _quiet() -> Iterator[None]:
    """Send what is printed to stderr, so that the JSON is alone on stdout."""
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)


def main() -> None:
    """Measure what the options ask for."""
    parser = argparse.ArgumentParser(prog="python -m harness.cost.full.stages", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--device", help='the device (default: none, which means "auto")')
    parser.add_argument("--load", action="store_true", help="stop once the model is loaded")
    options = parser.parse_args()
    with _quiet():
        bench = Bench(options.folder, options.dtype, options.device)
        if not options.load:
            from harness.cost.full.limits import bandwidth, operations

            bench.found |= {
                "weights": bench.weights(),
                "stages": {str(seconds): bench.stages(seconds) for seconds in LENGTHS},
                "whole": {str(seconds): bench.whole(seconds) for seconds in WHOLE},
                "operations/s": operations(bench.dtype, bench.device),
                "bandwidth B/s": bandwidth(bench.device),
                "peak B": bench.most(),
            }
    print(json.dumps(bench.found))


if __name__ == "__main__":
    main()
