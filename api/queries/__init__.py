"""What the doors read, one room per noun: SQL in, plain rows out."""
