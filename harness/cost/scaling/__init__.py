"""How costs grow: the suite with its cases and workers, and memory with the length of a chat."""
