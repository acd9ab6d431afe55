"""Migration streams: what ``xl save`` and live migration write, in files and through pipes."""
