"""The picture of what runs where, and plots of the measurements: matplotlib draws them, and the page shows them without it."""
