"""The live feed: a websocket server of its own, fed by Redis Streams."""
