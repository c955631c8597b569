"""A process that imports one tree and answers, line by line, how long calls take: `python -m harness.cost.patches.worker`.

It computes on one thread and counts processor time, which does not pass while another process runs.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from harness.cost import memory

RATE = 16_000


def main() -> None:
    """Import the package, say how long that took, and serve orders until there are no more."""
    # Keep what libraries print out of the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def answer(found: list[float]) -> None:
        print(json.dumps(found), file=answers, flush=True)

    start = time.process_time()
    import liquid_audio  # noqa: F401

    answer([time.process_time() - start])
    jobs = Jobs()
    for line in sys.stdin:
        order = json.loads(line)
        answer(jobs.do(order["what"], order["calls"]))


class Jobs:
    """The orders that a worker takes, by name."""

    def __init__(self) -> None:
        import torch

        from harness.checkpoint import complete

        torch.set_num_threads(1)
        self.folder = complete()
        self.processor: Any = None
        self.model: Any = None
        self._calls: dict[str, Callable[[], float]] = {}

    def do(self, what: str, calls: int) -> list[float]:
        """Make some calls, after one that does not count, and return what each took."""
        if what == "peak":
            return [float(memory.peak())]
        if what not in self._calls:
            self._calls[what] = self._prepare(what)
            self._calls[what]()
            # Objects that libraries keep need not be scanned before each turn.
            gc.collect()
            gc.freeze()
        gc.collect()
        gc.disable()
        try:
            return [self._calls[what]() for _ in range(calls)]
        finally:
            gc.enable()

    def _prepare(self, what: str) -> Callable[[], float]:
        name, _, argument = what.partition(" ")
        prepare: Callable[..., Callable[[], float]] = getattr(self, f"_{name}")
        return prepare(float(argument)) if argument else prepare()

    def _processor(self) -> Callable[[], float]:
        from liquid_audio import LFM2AudioProcessor

        def load() -> float:
            start = time.process_time()
            self.processor = LFM2AudioProcessor.from_pretrained(self.folder, device="cpu").eval()
            return time.process_time() - start

        return load

    def _model(self) -> Callable[[], float]:
        from liquid_audio import LFM2AudioModel

        def load() -> float:
            start = time.process_time()
            self.model = LFM2AudioModel.from_pretrained(self.folder, device="cpu").eval()
            return time.process_time() - start

        return load

    def _audio(self, seconds: float) -> Callable[[], float]:
        import torch
        from liquid_audio import ChatState

        wave = torch.randn(1, int(RATE * seconds), generator=torch.Generator().manual_seed(0)) * 0.1

        def add() -> float:
            chat = ChatState(self.processor)
            start = time.process_time()
            chat.add_audio(wave, RATE)
            return time.process_time() - start

        return add

    def _sequential(self) -> Callable[[], float]:
        return self._generation("generate_sequential")

    def _interleaved(self) -> Callable[[], float]:
        return self._generation("generate_interleaved")

    def _generation(self, method: str) -> Callable[[], float]:
        from liquid_audio import ChatState

        from harness.speech import clips

        clip = clips()[0]
        chat = ChatState(self.processor)
        chat.add_text("<|im_start|>system\nPerform ASR.<|im_end|>\n<|im_start|>user\n")
        chat.add_audio(clip.mono(), clip.sampling_rate)
        chat.add_text("<|im_end|>\n<|im_start|>assistant\n")

        def generate() -> float:
            start = time.process_time()
            for _ in getattr(self.model, method)(**chat, max_new_tokens=16):
                pass
            return time.process_time() - start

        return generate

    def _decode(self) -> Callable[[], float]:
        import torch
        from liquid_audio import LFM2AudioDetokenizer

        codes = torch.randint(2048, (1, 8, 25), generator=torch.Generator().manual_seed(0))
        # 1.3.0 builds it with .cuda() on every host. For this figure only, .cuda() does nothing, in both trees.
        kept = LFM2AudioDetokenizer.cuda
        LFM2AudioDetokenizer.cuda = lambda module: module
        try:
            assert self.processor.audio_detokenizer is not None
        finally:
            LFM2AudioDetokenizer.cuda = kept

        def decode() -> float:
            start = time.process_time()
            self.processor.decode(codes)
            return time.process_time() - start

        return decode


if __name__ == "__main__":
    main()
