"""The workflows, one module each: a frozen ``Request`` in, a ``Result`` out. No Hydra, Typer or rich."""
