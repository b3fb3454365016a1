"""Example scripts that use only the public names of ``simopt``."""
