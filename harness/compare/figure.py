"""The figure: word error rate against speed, and word error rate by length of the file. It suits light and dark pages."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from harness import wheels
from harness.compare.hearing.engines import CUT, WHOLE
from harness.compare.run import Run
from harness.compare.score import pairs, score

# Colours for both white and black, and a placeholder for the colour of the page's text.
COLOURS = {"openai": "#d55e00", "faster": "#009e73", "tiny": "#0090d0", "lfm": "#cc79a7"}
INK = "#123456"
STYLE = "<style>svg{color:#24292f}@media (prefers-color-scheme:dark){svg{color:#e6edf3}}</style>"
MARKS = {WHOLE: "X", CUT: "o", "greedy": "s", "beam of 5": "D"}


def draw(runs: Sequence[Run], normalise: Callable[[str], str], source: Path, title: str) -> Path:
    """Draw the runs as SVG, with the same bytes for the same runs.

    Args:
        runs: the runs of the recognizers
        normalise: brings texts into the form in which they are compared
        source: the JSON of these runs; the figure names it, and is written beside it
        title: what the figure shows, for readers who cannot see it

    Returns:
        the SVG
    """
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
    settings: Any = {**dict.fromkeys(inked, INK), "svg.fonttype": "none", "svg.hashsalt": "compare", "font.size": 9}
    ran = [run for run in runs if run.heard("clip")]
    with mpl.rc_context(settings):
        figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.4, 4.2), layout="constrained")
        for run in ran:
            found = score(pairs(run.heard("clip")), normalise)
            audio, seconds = (sum(line[name] for line in run.heard("clip")) for name in ("audio", "seconds"))
            left.scatter(seconds / audio, 100 * found.wer, color=_colour(run), marker=MARKS[run.engine.how], label=_name(run))
        left.set(
            xscale="log", xlabel="seconds per second of audio (RTF)", ylabel="word error rate, %", title="13 recordings of men"
        )
        for run in ran:
            heard = [line for line in run.heard("joined") if line["text"].strip()]
            rates = [100 * score(pairs([line]), normalise).wer for line in heard]
            look = {
                "color": _colour(run),
                "marker": MARKS[run.engine.how],
                "linestyle": ":" if run.engine.how == WHOLE else "-",
            }
            right.plot([line["audio"] for line in heard], rates, **look)
        right.set(xscale="log", xlabel="seconds of joined clips in one file", title="files that get longer")
        for axes in (left, right):
            axes.set_ylim(bottom=-3)
            axes.grid(alpha=0.3, color=INK)
            axes.spines[["top", "right"]].set_visible(False)
        figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
        file = source.with_suffix(".svg")
        about = {"Date": None, "Creator": None, "Title": title, "Source": wheels.sha256(source)}
        figure.savefig(file, format="svg", transparent=True, metadata=about)
        pyplot.close(figure)
    file.write_text(for_both_pages(file.read_text(encoding="utf-8"), title), encoding="utf-8")
    return file


def for_both_pages(svg: str, title: str) -> str:
    """Let a drawing take the text colour of its page, and give it a title."""
    svg, title = svg.replace(INK, "currentColor"), escape(title, {'"': "&quot;"})
    return re.sub(
        r"(<svg [^>]*)>", lambda tag: f'{tag[1]} role="img" aria-label="{title}">\n<title>{title}</title>{STYLE}', svg, count=1
    )


def _name(run: Run) -> str:
    return f"{run.engine.name}, {run.engine.how}, {run.device}"


def _colour(run: Run) -> str:
    return COLOURS[run.key.partition("-")[0]]
