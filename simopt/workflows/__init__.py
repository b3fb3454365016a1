"""The workflows, one module each: a function turns a frozen ``Request`` into a ``Result``."""
