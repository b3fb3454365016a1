"""From YAML files and overrides in Hydra's grammar to requests."""
