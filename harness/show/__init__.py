"""The commands `verdict`, which runs the lanes and writes the page, and `census`, which counts their tests."""
