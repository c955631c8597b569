"""A process that measures the memory of chats by length: `python -m harness.cost.scaling.chats 10 30 60`. It needs Linux."""

import gc
import json
import sys
from typing import Any

from harness.cost import memory

RATE = 16_000
# In seconds. Encoding holds the square of the positions, for each head, several times over.
LONGEST_ENCODED = 300


def main() -> None:
    """Print a JSON list with an entry for each length."""
    import torch
    from liquid_audio import LFM2AudioModel, LFM2AudioProcessor

    from harness.checkpoint import complete

    torch.set_num_threads(1)
    folder = complete()
    processor = LFM2AudioProcessor.from_pretrained(folder, device="cpu").eval()
    model = LFM2AudioModel.from_pretrained(folder, device="cpu").eval()
    if not memory.forget():
        sys.exit("this system cannot reset the peak memory of a process: run this on Linux")
    # What the first call sets up does not belong to the audio.
    measure(processor, model, 2)
    print(json.dumps([measure(processor, model, float(seconds)) for seconds in sys.argv[1:]]))


def measure(processor: Any, model: Any, seconds: float) -> dict[str, float]:
    """Measure the chat itself, and the peaks of adding and of encoding its audio, above what was held before."""
    import torch
    from liquid_audio import ChatState

    wave, chat = torch.randn(1, int(RATE * seconds)) * 0.1, ChatState(processor)
    found = {"seconds": seconds, "features B": _above(lambda: chat.add_audio(wave, RATE))}
    found["chat B"] = float(sum(value.untyped_storage().nbytes() for value in chat.values()))
    if seconds <= LONGEST_ENCODED:
        with torch.no_grad():
            found["encoder B"] = _above(lambda: model._prefill(**chat))
    return found


def _above(call: Any) -> float:
    gc.collect()
    memory.forget()
    before = memory.peak()
    call()
    return float(max(memory.peak() - before, 1))


if __name__ == "__main__":
    main()
