"""Games: arithmetic only, without clock, chance or I/O; it can be carried away and run alone."""
