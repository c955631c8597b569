"""How the patches ship: as a wheel, in an installed environment, and as pull requests.

It reads `patches/` and `out/`, and writes `out/dist/`, `out/pr/` and the environment that you name.
"""
