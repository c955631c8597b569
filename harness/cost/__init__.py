"""What it costs: the patches, a model of full size, and how the suite and chats scale; no test hangs on a time.

Each part measures in processes that import one tree each, and writes `out/benchmark*.json` and `.md`.
"""
