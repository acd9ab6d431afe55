"""Every short sequence of operations on a toy tree, against a flat map."""
