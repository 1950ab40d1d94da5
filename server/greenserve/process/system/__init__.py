"""What a process asks of its system: CPUs, accounts, variables, and how its children have ended."""
