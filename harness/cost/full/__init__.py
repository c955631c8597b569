"""What a full-size model costs: each stage of a turn, measured with random weights."""
