"""Input and output of the terminal: options, completion, messages, progress, tables, signals."""
