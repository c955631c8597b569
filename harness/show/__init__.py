"""How it is shown: the page, the picture, README's table, the figures and the census.

It reads what every earlier stage left in `out/`, and writes `out/report.html`, `README.md`, `patches/README.md` and `.github/`.
"""
