"""The green replacements for modules of the standard library, one file per module."""
