"""Theory of measures: sensitivity in closed form, expansions, derivations, bounds, learning order."""
