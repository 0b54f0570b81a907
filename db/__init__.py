"""The facts: tables with their few queries, one file per noun."""
