"""What leaves the tree: the zipapp, the check of every package, the Pythons and numpys it is tried with."""
