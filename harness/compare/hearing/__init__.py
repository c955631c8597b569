"""The recognizers: each hears the clips in its own process, with weights that are found or made here."""
