"""What a measure is sensitive to: closed forms, expansions, derivations, bounds, learning order."""
