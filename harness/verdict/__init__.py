"""The verdict: two runs of the suite, compared with the catalogue of bugs and the census of tests.

It reads `tests/bugs.toml`, `tests/census.txt` and the logs of a lane, and writes `out/<lane>/verdict.json`.
"""
