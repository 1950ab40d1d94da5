"""Frames in, messages out, the other way round, and the closing handshake (RFC 6455 §5 and §7, RFC 7692)."""
