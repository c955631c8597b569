"""What is tested: the trees of the package, as published and patched, the series of patches, and the checkpoint.

It reads `patches/`, `releases.toml` here and the wheels of PyPI, and writes `.cache/`.
"""
