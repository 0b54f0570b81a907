"""Facts of rounds, read from the chains themselves by way of nodes that a person names."""
