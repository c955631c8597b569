"""What the verdict is worth: would the suite notice a wrong line, a missing line, another fix, or a different order?

It reads `tests/mutants.toml` and `tests/rivals/`, and writes `out/<command>.json` and `.md`.
"""
