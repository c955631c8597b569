"""Long audio, cut at its pauses: README has the same lines for its readers."""

import numpy as np
import torch

# A piece is as long as the voice-activity model finds speech, between pauses; longer speech is cut at its longest pause.
LONGEST = 30.0
PAUSE_MS, EDGE_MS = 300, 200


def pieces(wave: np.ndarray) -> list[np.ndarray]:
    """Cut 16 kHz mono audio at pauses, into pieces of at most 30 s."""
    threads = torch.get_num_threads()
    from silero_vad import get_speech_timestamps, load_silero_vad

    # The package sets one when it is imported, and rightly: of its many small steps each would wait for the other threads, which
    # on a busy host is minutes. What comes next has its own back.
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
