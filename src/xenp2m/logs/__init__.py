"""Pasted text: files, lines and what they say, of every known form."""
