"""The socket of a connection, for libraries that speak WebSocket themselves."""
