"""SVG plots that are readable in light and in dark, and that record the hash of their data.

Drawing them needs matplotlib, from the lock `plots`. Showing them needs only the standard library.
"""

import hashlib
import re
from pathlib import Path
from typing import Any

# The report's colours in light, and their counterparts in dark.
PAPER, INK, SOFT, LINE = "#fcfcfb", "#191c1e", "#586067", "#e2e5e5"
FIRST, SECOND, THIRD = "#0b6b5a", "#8f2611", "#6b4c05"
DARK = {
    PAPER: "#121516",
    INK: "#e7eae9",
    SOFT: "#a2abae",
    LINE: "#2c3235",
    FIRST: "#63cdb1",
    SECOND: "#ffa894",
    THIRD: "#ecd28a",
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "liquid-audio",
    "font.family": "sans-serif",
    "font.size": 9.5,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": PAPER,
    "axes.labelcolor": SOFT,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": PAPER,
    "grid.color": LINE,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
}
FONTS = "system-ui, -apple-system, &quot;Segoe UI&quot;, Roboto, &quot;Helvetica Neue&quot;, &quot;Noto Sans&quot;, sans-serif"


def save(figure: Any, source: Path, words: str) -> Path:
    """Write a figure next to the JSON that it was drawn from.

    Args:
        figure: a figure of matplotlib
        source: the JSON
        words: its alternative text

    Returns:
        the SVG
    """
    file = source.with_suffix(".svg")
    figure.savefig(file, metadata={"Date": None, "Title": words, "Source": sha256(source)}, bbox_inches="tight")
    file.write_text(themed(file.read_text(encoding="utf-8")), encoding="utf-8")
    return file


def themed(svg: str) -> str:
    """Give an SVG from matplotlib the reader's fonts, and dark colours for readers who prefer them."""
    rules = [
        f'[style*="{what}: {light}"] {{ {what}: {dark} !important }}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    ]
    style = "<style>\n@media (prefers-color-scheme: dark) {\n" + "\n".join(rules) + "\n}\n</style>\n"
    svg = re.sub(r"(font: [^;\"']*?px )[^;]*;", rf"\1{FONTS};", svg)
    return re.sub(r"(<svg [^>]*>)", rf"\1\n{style}", svg, count=1)


def drawn(source: Path) -> tuple[str, str] | None:
    """Return the SVG that was drawn from the current JSON, with its alternative text; None if there is none."""
    file = source.with_suffix(".svg")
    if not (file.is_file() and source.is_file()):
        return None
    svg = file.read_text(encoding="utf-8")
    if f"<dc:source>{sha256(source)}</dc:source>" not in re.sub(r"\s*(</?dc:\w+>)\s*", r"\1", svg):
        return None
    title = re.search(r"<dc:title>(.*?)</dc:title>", svg, re.DOTALL)
    return svg, title[1] if title else ""


def sha256(file: Path) -> str:
    """Hash the data of a plot."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
