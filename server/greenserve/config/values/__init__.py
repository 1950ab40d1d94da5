"""How the value of a setting is read and printed."""
