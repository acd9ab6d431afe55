"""The report: one HTML file that needs nothing else, for plans and for maps that were read."""
