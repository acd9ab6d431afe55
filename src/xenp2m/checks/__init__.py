"""Checks: what can be noticed about a host and its boot, one function for each finding."""
