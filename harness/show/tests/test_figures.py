"""A plot can be read in light and in dark, and is shown only with the data that it was drawn from."""

import json

import pytest

from harness import world
from harness.show.figures import plot
from harness.show.page import read_table

SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" width="9pt">
 <dc:title>Ratios &amp; more</dc:title>
 <dc:source>{}</dc:source>
 <text style="font: 9.5px 'DejaVu Sans', sans-serif; text-anchor: end; fill: #191c1e">a</text>
</svg>
"""


def test_a_plot_has_dark_colours_and_the_readers_fonts():
    svg = plot.themed(SVG)
    assert svg.index("<svg ") < svg.index("prefers-color-scheme: dark") < svg.index("<dc:title>")
    assert '[style*="fill: #191c1e"] { fill: #e7eae9 !important }' in svg
    assert "font: 9.5px system-ui" in svg and "DejaVu" not in svg


def contrast(one, other):
    def light(colour):
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [plot.INK, plot.SOFT, plot.FIRST, plot.SECOND, plot.THIRD])
def test_a_plot_can_be_read_in_both(colour):
    assert contrast(colour, plot.PAPER) > 4.5 and contrast(plot.DARK[colour], plot.DARK[plot.PAPER]) > 4.5


def test_a_plot_counts_only_for_the_figures_that_it_was_drawn_from(tmp_path):
    table = {"title": "t", "columns": ["a"], "rows": [["1"]], "note": "", "holds": True, "digest": world.digest()}
    source = tmp_path / "benchmark-full.json"
    source.write_text(json.dumps(table))
    assert read_table(source, "t")["plot"] is None
    source.with_suffix(".svg").write_text(SVG.format(plot.sha256(source)))
    shown = read_table(source, "t")["plot"]
    assert shown["words"] == "Ratios & more" and shown["source"].startswith("data:image/svg+xml;base64,")
    source.write_text(json.dumps({**table, "rows": [["2"]]}))
    assert read_table(source, "t")["plot"] is None


def test_a_part_that_was_not_measured_is_named_with_its_option(tmp_path):
    assert read_table(tmp_path / "benchmark-full.json", "t")["note"] == "Not run: run `python3 -m nox -s benchmark -- --full`."
