"""Real servers and chains on this machine, for demo and tests; production never imports it."""
