"""What we know of Solana."""
