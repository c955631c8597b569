"""Run each recognizer on the same speech, one after the other in one process, and time it."""

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.compare.engines import ENGINES, Engine, Recognizer
from harness.compare.speech import Speech


@dataclass(frozen=True)
class Heard:
    """What a recognizer heard.

    Attributes:
        said: the words that were said
        text: the words that it heard
        audio: length of the audio in seconds
        seconds: how long it took
        cpu: how many seconds all processors together worked on it
    """

    said: str
    text: str
    audio: float
    seconds: float
    cpu: float


@dataclass
class Run:
    """A recognizer on a device.

    Attributes:
        engine: the recognizer
        device: name of the device
        clips: what it heard of the recordings; empty if it did not transcribe all of them
        files: what it heard of the joined files, by their length
        not_run: why it did not run, or did not finish, in one sentence
        failed: whether that is an error
    """

    engine: Engine
    device: str
    clips: list[Heard] = field(default_factory=list)
    files: dict[int, Heard] = field(default_factory=dict)
    not_run: str = ""
    failed: bool = False


def run_all(
    weights: Mapping[str, Path | str], devices: Iterable[str], clips: Sequence[Speech], files: Mapping[int, Speech]
) -> list[Run]:
    """Run every recognizer on every device.

    Args:
        weights: the folder of each kind of weights, or why there is none
        devices: names of devices
        clips: the recordings; the first is also the warm-up
        files: the joined files, by their length
    """
    runs = []
    for device in devices:
        for engine in ENGINES:
            runs.append(run := Run(engine, device))
            folder = weights[engine.weights]
            if isinstance(folder, str):
                run.not_run = folder
            elif device == "mps" and engine.name.startswith("faster"):
                run.not_run = "CTranslate2 does not compute on mps"
            else:
                try:
                    _run(run, folder, clips, files)
                except Exception as error:  # whatever a package raises, the others run
                    run.failed, first = True, (str(error).splitlines() or [""])[0]
                    run.not_run = f"{type(error).__name__}: {first}"
    return runs


def _run(run: Run, folder: Path, clips: Sequence[Speech], files: Mapping[int, Speech]) -> None:
    def say(doing: str) -> None:
        print(f"{run.engine.label(run.device)}: {doing}", file=sys.stderr, flush=True)

    say("loading")
    recognize = run.engine.load(folder, run.device, run.engine.dtype(run.device))
    say(f"{len(clips)} recordings")
    recognize(clips[0].wave)
    run.clips = [hear(recognize, clip) for clip in clips]
    for length, file in files.items() if run.engine.long else ():
        say(f"a file of {length} s")
        run.files[length] = hear(recognize, file)


def hear(recognize: Recognizer, speech: Speech) -> Heard:
    """Transcribe speech, and take the time."""
    start, begin = time.perf_counter(), time.process_time()
    text = recognize(speech.wave)
    return Heard(speech.text, text, speech.seconds, time.perf_counter() - start, time.process_time() - begin)
