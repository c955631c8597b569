"""What things cost: the patches, a full-size model, and more cases or longer chats. No test depends on a time.

Each part measures in processes that import one tree each, and writes `out/benchmark*.json` and `.md`.
"""
