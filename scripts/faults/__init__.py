"""The faults of ``scripts/chaos.py``, by kind: how each is made, and what may have come of it."""
