"""Requests made from YAML files and from overrides in Hydra's grammar."""
