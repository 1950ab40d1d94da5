"""TLS on a connection: contexts, certificates, streams."""
