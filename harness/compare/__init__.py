"""Recognizers side by side on human speech, by word errors, time and memory.

It reads `fixtures/clips/` and each recognizer's weights, and writes `out/compare*`.
"""
