"""The chains as the rest of the house sees them: raws in, events and facts out."""
