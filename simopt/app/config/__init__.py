"""From yaml files and overrides in Hydra's grammar to requests: the only place that knows Hydra's text."""
