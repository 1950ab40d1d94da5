"""How the value of a setting is chosen, parsed and printed."""
