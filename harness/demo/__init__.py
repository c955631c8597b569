"""Upstream's demo as its users meet it: started by its console script, spoken to in a browser, and judged by its page.

It reads `fixtures/clips/` and the trees, and writes `out/demo/` and `out/demo*.json`.
"""
