"""How it ships: a wheel with the patches, the patches in an installed environment, and pull requests.

It reads `patches/` and `out/`, and writes `out/dist/`, `out/pr/` and the environment that is named.
"""
