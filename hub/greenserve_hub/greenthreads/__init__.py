"""Functions that run concurrently: green threads, their pools, timeouts and locals."""
