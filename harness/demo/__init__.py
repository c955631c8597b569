"""Upstream's demo as its users meet it: started by its console script, spoken to in a browser, and read off the page."""
