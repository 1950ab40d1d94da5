"""Coroutines and green threads that wait for each other."""
