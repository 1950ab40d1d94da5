"""The error log and the access log: where their lines go and how they look."""
