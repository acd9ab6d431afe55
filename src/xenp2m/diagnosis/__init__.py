"""A log held against its own prediction: what agrees, where the memory went, what a fault means."""
