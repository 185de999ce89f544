"""Stand_ins."""
