"""Does upstream's demo work? It is started by its console script, and spoken to in a browser.

It reads `fixtures/clips/` and the trees, and writes `out/demo.json` and `out/demo.md`.
"""
