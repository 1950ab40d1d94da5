"""What comes before HTTP on a connection: the PROXY header, then the handshake of TLS."""
