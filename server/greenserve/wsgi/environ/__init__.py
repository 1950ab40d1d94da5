"""From a head to the environ of a request."""
