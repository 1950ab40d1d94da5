"""Modules of the standard library, and others, that wait green without monkey patching."""
