"""What is tested: the trees of the package, as published and patched, the series of patches, and the checkpoint.

It reads `patches/` and wheels from PyPI, and writes `.cache/`.
"""
