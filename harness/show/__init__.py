"""How results are shown: the page, the picture, README's verdict, the figures and the census.

It reads what earlier stages wrote to `out/`, and writes `out/report.html`, `README.md`, `patches/README.md` and `.github/`.
"""
