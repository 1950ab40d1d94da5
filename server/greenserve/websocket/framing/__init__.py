"""Frames in, messages out, and the other way round (RFC 6455 §5, RFC 7692)."""
