"""The command line application; no other subpackage imports Hydra, OmegaConf, Typer or rich."""
