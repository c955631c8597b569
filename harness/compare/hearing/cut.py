"""Cut long audio at its pauses, with the same lines as README shows."""

import numpy as np
import torch

# A piece is what the voice-activity model finds between pauses. Longer speech is cut at its longest pause.
LONGEST = 30.0
PAUSE_MS, EDGE_MS = 300, 200


def pieces(wave: np.ndarray) -> list[np.ndarray]:
    """Cut 16 kHz mono audio at pauses, into pieces of at most 30 s."""
    threads = torch.get_num_threads()
    from silero_vad import get_speech_timestamps, load_silero_vad

    # The package sets one thread on import, and rightly: each of its many small steps would wait for the other threads, which
    # takes minutes on a busy host. The code that follows gets its own number back.
    torch.set_num_threads(1)
    try:
        found = get_speech_timestamps(
            torch.from_numpy(wave),
            load_silero_vad(),
            max_speech_duration_s=LONGEST,
            min_silence_duration_ms=PAUSE_MS,
            speech_pad_ms=EDGE_MS,
        )
    finally:
        torch.set_num_threads(threads)
    return [wave[piece["start"] : piece["end"]] for piece in found]
