"""Which scores of two measures can occur together."""
