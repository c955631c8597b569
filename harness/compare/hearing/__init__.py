"""The recognizers: each hears the clips in a process of its own, with weights that are found or made here."""
