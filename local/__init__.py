"""Real servers and real chains on this machine, for the demo and the tests; production never imports it."""
