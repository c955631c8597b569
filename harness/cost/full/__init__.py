"""What a model of full size costs: each stage of a turn, measured with random weights."""
