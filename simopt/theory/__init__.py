"""Why a measure sees what it sees: closed forms, expansions, derivations, bounds, learning order."""
