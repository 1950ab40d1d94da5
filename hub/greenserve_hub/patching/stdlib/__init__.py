"""Where the standard library is touched: its names, what is imported later, its private places."""
