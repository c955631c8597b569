"""How results are shown: the page, the picture, README's verdict, the figures and the census.

It reads the files of all earlier stages in `out/`, and writes `out/report.html`, `README.md`, `patches/README.md` and
`.github/`.
"""
