"""Green locks and queues of the standard library, and the replacement of existing ones."""
