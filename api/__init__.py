"""People come in: HTTP and the live feed."""
