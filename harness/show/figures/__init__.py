"""Figures of the numbers: drawn with matplotlib, and read by the page without it."""
