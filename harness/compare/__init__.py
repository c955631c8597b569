"""openai-whisper, faster-whisper and LFM2-Audio on the same speech: word error rates and real-time factors, from one run."""
