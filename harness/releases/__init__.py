"""Which releases of the package the series is for: those that are published, and what a newer one makes of it.

It reads `releases.toml` of `harness/package/` and PyPI, and writes `out/releases*`.
"""
