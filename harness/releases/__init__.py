"""Which releases of the package the series applies to: the published ones, and any newer one.

It reads `harness/releases.toml` and PyPI, and writes nothing.
"""
