"""Core dumps (`xl dump-core`): sections, notes, the table of pages, the pages."""
