"""The faults of ``scripts/chaos.py``, by kind: how to cause each of them, and which outcomes are right."""
