"""What happens to the program and its files when things go wrong, measured: truncation, kills, damage."""
