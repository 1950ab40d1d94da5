"""From APP on the command line to a WSGI callable, and whether this process can serve it."""
