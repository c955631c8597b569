"""The picture of what runs where, and figures of the numbers: drawn with matplotlib, and read by the page without it."""
