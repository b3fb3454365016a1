"""Sweeps: a request for every combination of overrides, run in this process or by Hydra's launchers."""
