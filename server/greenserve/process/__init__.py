"""How a server lives: as a process with signals and exit codes, or in an OS thread of a program.

On top of net/; called by the command line, greenserve.run() and greenserve.serve(). Nothing is imported here: a
subcommand starts without the server.
"""
