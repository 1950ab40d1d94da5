"""What stands in the place of a module of the standard library, one file for each."""
