"""The tables of a comparison, their picture, and the problems that it found."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import jiwer

from harness.compare.engines import CUT, LENGTHS, REAL, TINY, WHOLE
from harness.compare.run import Heard, Run
from harness.table import Table
from harness.wheels import sha256

Normalise = Callable[[str], str]
COLUMNS = ("recognizer", "how", "device", "dtype", "WER", "CER", "RTF", "CPU s per s")
CAVEAT = (
    "The tiny checkpoint knows 49 words, and these clips were chosen because it hears them right. Its errors do not show the "
    "quality of LFM2.5-Audio."
)
# How far the word error rate of a file cut at pauses may rise above that of the shortest file.
DRIFT = 0.02
COLOURS = {"openai-whisper base": "#d55e00", "faster-whisper base": "#009e73", TINY: "#0072b2", REAL: "#cc79a7"}


def tables(runs: Sequence[Run], normalise: Normalise, host: str) -> tuple[Table, Table]:
    """Make the table of the recordings and that of the joined files.

    Args:
        runs: what the recognizers heard
        normalise: brings texts into the form in which they are compared
        host: the host, its threads and the date
    """
    heard = next((run.clips for run in runs if run.clips), [])
    recordings = Table(
        "Recordings of people",
        COLUMNS,
        [[*_head(run), *_clips(run, normalise)] for run in runs],
        f"{len(heard)} recordings from PocketSphinx's tests, {sum(h.audio for h in heard):.0f} s and "
        f"{sum(len(h.said.split()) for h in heard)} words. The tiny checkpoint knows 49 words and hears every other word as one of "
        "them, and it was trained on two of the recordings. Its errors do not show the quality of LFM2.5-Audio. Whisper pads every "
        f"recording to 30 s. {host}",
    )
    files = Table(
        "Longer files, made of clips that the tiny checkpoint hears right",
        (*COLUMNS[:4], *(f"{length} s" for length in LENGTHS)),
        [[*_head(run), *_files(run, normalise)] for run in runs if run.engine.long],
        f"A cell gives the word error rate and the RTF. {CAVEAT} The clips are joined with pauses of 0.6 to 1.2 s and the noise of a "
        "quiet room.",
    )
    return recordings, files


def _head(run: Run) -> list[str]:
    return [run.engine.name, run.engine.how, run.device, run.engine.dtype(run.device)]


def _clips(run: Run, normalise: Normalise) -> list[str]:
    if not run.clips:
        return [f"not run: {run.not_run}", "–", "–", "–"]
    said, text = ([normalise(words) for words in side] for side in zip(*((h.said, h.text) for h in run.clips), strict=True))
    audio = sum(h.audio for h in run.clips)
    rates = [f"{jiwer.wer(said, text):.1%}", f"{jiwer.cer(said, text):.1%}"]
    return [*rates, f"{sum(h.seconds for h in run.clips) / audio:.3f}", f"{sum(h.cpu for h in run.clips) / audio:.3f}"]


def _files(run: Run, normalise: Normalise) -> Iterator[str]:
    for length in LENGTHS:
        heard = run.files.get(length)
        yield f"{_wer(heard, normalise):.1%}, RTF {heard.seconds / heard.audio:.3f}" if heard else f"not run: {run.not_run}"


def _wer(heard: Heard, normalise: Normalise) -> float:
    return float(jiwer.wer(normalise(heard.said), normalise(heard.text)))


def problems(runs: Sequence[Run], normalise: Normalise) -> Iterator[str]:
    """Find recognizers that failed, and errors that grow with the length of a file although it is cut at pauses."""
    for run in runs:
        name = run.engine.label(run.device)
        if run.failed:
            yield f"{name}: {run.not_run}"
        rates = [_wer(heard, normalise) for heard in run.files.values()]
        if run.engine.how == CUT and rates and max(rates) > rates[0] + DRIFT:
            yield f"{name}: its word error rate grows with the length of the file, from {rates[0]:.1%} to {max(rates):.1%}"


def draw(runs: Sequence[Run], normalise: Normalise, source: Path) -> None:
    """Draw the word error rates of the joined files, as SVG beside the JSON of the tables, whose hash it records."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    ran = [run for run in runs if run.files]
    words = CAVEAT if any(run.engine.name == REAL for run in ran) else f"{CAVEAT} LFM2.5-Audio was not run."
    with mpl.rc_context({"svg.hashsalt": "compare", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(8, 4.6), layout="constrained")
        for run in ran:
            axes.plot(
                list(run.files),
                [100 * _wer(heard, normalise) for heard in run.files.values()],
                color=COLOURS[run.engine.name],
                # openai-whisper has the same weights, and its line may be under this one.
                linestyle="--" if run.engine.name.startswith("faster") else "-",
                marker="x" if run.engine.how == WHOLE else "o",
                label=run.engine.label(run.device),
            )
        axes.set(xscale="log", xlabel="seconds of joined clips in one file", ylabel="word error rate, %")
        axes.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
        axes.set_title(words.replace(". ", ".\n"), fontsize=9, loc="left")
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        about = {"Date": None, "Creator": None, "Title": f"Word error rate by the length of a file. {words}"}
        figure.savefig(source.with_suffix(".svg"), metadata={**about, "Source": sha256(source)})
        pyplot.close(figure)
