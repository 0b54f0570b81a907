"""On-chain code: the same casino in Solidity and in C, and what is built from it."""
