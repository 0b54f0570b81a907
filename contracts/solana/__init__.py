"""The casino for Solana, in C, and what turns it into a loadable program."""
