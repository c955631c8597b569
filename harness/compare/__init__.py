"""Recognizers side by side on human speech: how many words each gets wrong, how fast, and how much memory it takes."""
