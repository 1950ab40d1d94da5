"""Locks and queues of the standard library, those that exist already among them."""
