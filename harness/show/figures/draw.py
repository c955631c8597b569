"""Draw the plots of `out/benchmark*.json`: `python -m harness.show.figures.draw`, in the environment of the lock `plots`."""

import json
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot
from matplotlib.figure import Figure

from harness import OUT, ROOT
from harness.cost.full import computed
from harness.show.figures import plot

mpl.use("svg")
type Record = Mapping[str, Any]


def patches(record: Record) -> tuple[Figure, str]:
    """Draw the ratio of each workload with its interval, and that of the control below it."""
    entries = record["figures"][::-1]
    titles = {
        work: row[0].replace("`", "") for work, row in zip((e["work"] for e in record["figures"]), record["rows"], strict=True)
    }
    figure, axes = pyplot.subplots(figsize=(8, 0.42 * len(entries) + 1))
    for name, colour, offset, label in (
        ("ratio", plot.FIRST, 0.12, "patched"),
        ("control", plot.SOFT, -0.12, "upstream again"),
    ):
        middle, low, high = (list(values) for values in zip(*(entry[name] for entry in entries), strict=True))
        errors = [[m - w for m, w in zip(middle, low, strict=True)], [h - m for m, h in zip(middle, high, strict=True)]]
        places = [n + offset for n in range(len(entries))]
        axes.errorbar(middle, places, xerr=errors, fmt="o", color=colour, markersize=4, elinewidth=1.4, label=label)
    axes.axvline(1, color=plot.INK, linewidth=1)
    axes.axvline(1.02, color=plot.SECOND, linewidth=1, linestyle=":", label="limit of the goal")
    axes.set_yticks(range(len(entries)), [titles[entry["work"]] for entry in entries])
    axes.tick_params(axis="y", length=0, labelcolor=plot.INK)
    axes.set_xlabel("ratio to upstream, with 95 % intervals")
    axes.set_title("What the patches cost")
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.12 - 0.2 / len(entries)), ncols=3)
    words = "; ".join(f"{titles[e['work']]} {e['ratio'][0]:.3f}" for e in record["figures"])
    return figure, f"Ratios of patched to upstream: {words}"


def full(record: Record) -> tuple[Figure, str]:
    """Draw the time of each stage of a 30 s turn, by dtype, with the least time that this host's limits allow."""
    seconds = "30"
    figure, axes = pyplot.subplots(figsize=(8, 3.2))
    words = []
    tokens = computed.tokens_of(float(seconds))
    names = {"features": "features", "encoder": "encoder", "prefill": "prefill", "token": f"{tokens} tokens"}
    for k, (dtype, found) in enumerate(record["measured"].items()):
        stage, limit = found["stages"][seconds], computed.limits(found, seconds)
        times = {name: stage[name] * (tokens if name == "token" else 1) for name in names}
        places = [n + 0.19 * (1 - 2 * k) for n in range(len(names))][::-1]
        axes.barh(places, times.values(), height=0.34, color=(plot.FIRST, plot.THIRD)[k], label=dtype)
        for place, (name, time) in zip(places, times.items(), strict=True):
            if name in limit:
                shortest = limit[name] * (tokens if name == "token" else 1)
                axes.plot([shortest] * 2, [place - 0.17, place + 0.17], color=plot.SECOND, linewidth=2.5)
            axes.annotate(f"{time:.2f} s", (time, place), (5, 0), textcoords="offset points", va="center", color=plot.INK)
        words.append(f"{dtype}: " + ", ".join(f"{names[name]} {time:.2f} s" for name, time in times.items()))
    axes.plot([], [], color=plot.SECOND, linewidth=2.5, label="this host's limit")
    axes.set_yticks(range(len(names)), list(names.values())[::-1])
    axes.tick_params(axis="y", length=0, labelcolor=plot.INK)
    axes.set_xlabel("seconds")
    axes.set_title(f"Transcribing {seconds} s with 1.5 B parameters, by stage")
    axes.margins(x=0.12)
    axes.legend(loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3)
    return figure, f"Stages of a turn of {seconds} s; {'; '.join(words)}"


def scaling(record: Record) -> tuple[Figure, str]:
    """Draw the time of the suite by cases and workers, and memory by length of audio."""
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    colours = (plot.FIRST, plot.SECOND, plot.THIRD, plot.SOFT)
    for workers, colour in zip(sorted({r["workers"] for r in record["suite"]}), colours, strict=False):
        runs = [r for r in record["suite"] if r["workers"] == workers]
        left.plot(
            [r["cases"] for r in runs],
            [r["seconds"] for r in runs],
            "o-",
            color=colour,
            markersize=4,
            label=f"{workers} workers" if workers > 1 else "1 worker",
        )
    left.set(xlabel="cases", ylabel="seconds", title="Time of the suite", ylim=(0, None))
    left.legend()
    names = {"chat B": "the chat", "features B": "add_audio, at most", "encoder B": "encoding, at most"}
    for (name, label), colour in zip(names.items(), colours, strict=False):
        chats = [chat for chat in record["chats"] if name in chat]
        right.loglog(
            [c["seconds"] for c in chats], [c[name] / 1e6 for c in chats], "o-", color=colour, markersize=4, label=label
        )
    right.set(xlabel="seconds of audio", ylabel="MB", title="Memory of a chat")
    right.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    right.legend()
    longest = max(record["suite"], key=lambda r: (r["cases"], -r["workers"]))
    chat = max((c for c in record["chats"] if "encoder B" in c), key=lambda c: c["seconds"])
    words = f"{longest['cases']} cases take {math.ceil(longest['seconds'])} s with {longest['workers']} workers; "
    return figure, words + f"encoding {chat['seconds']:.0f} s of audio takes {chat['encoder B'] / 1e6:.0f} MB at most"


DRAWN: Mapping[str, Callable[[Record], tuple[Figure, str]]] = {
    "benchmark": patches,
    "benchmark-full": full,
    "benchmark-scaling": scaling,
}


def draw(out: Path = OUT) -> list[Path]:
    """Draw each JSON file that has no current plot, and return the SVGs."""
    found = []
    for name, function in DRAWN.items():
        source = out / f"{name}.json"
        if source.is_file() and plot.drawn(source) is None:
            with mpl.rc_context(plot.STYLE):
                figure, words = function(json.loads(source.read_text(encoding="utf-8")))
                found.append(plot.save(figure, source, words))
                pyplot.close(figure)
    return found


if __name__ == "__main__":
    for file in draw():
        print(f"drew {file.relative_to(ROOT)}", file=sys.stderr)
