"""One client's WebSocket, and rooms of them."""
