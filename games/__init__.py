"""Games: arithmetic only. No clock, no chance, no I/O; it can be carried away and run alone."""
