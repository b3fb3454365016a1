"""Sweeps: every combination of overrides as a request each, launched here or by Hydra's launchers."""
