"""Pictures of maps, drawn with matplotlib: vector or bitmap, the same bytes for the same input."""
