"""The hub of this OS thread under eventlet's names."""
