"""How it compares: recognizers side by side on human speech, by wrong words, time and memory.

It reads `fixtures/clips/` and each recognizer's weights, and writes `out/compare*`.
"""
