"""One module a question: a frozen ``Request`` in, a ``Result`` out. No Hydra, no Typer, no rich."""
