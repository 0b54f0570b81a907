"""What we know of the chains that run the EVM."""
