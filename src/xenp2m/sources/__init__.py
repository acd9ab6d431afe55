"""Maps read from files and from running domains: one reader for each kind of input."""
