"""The opening handshake: an upgrade is accepted, or refused with its reason (RFC 6455 §4)."""
