"""One room per noun; each lists its routes as ROUTES."""
