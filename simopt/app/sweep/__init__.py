"""Sweeps: a request for every combination of overrides, run here or by Hydra's launchers."""
