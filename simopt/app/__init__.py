"""The command line application: the only room that knows Hydra, OmegaConf, Typer and rich."""
