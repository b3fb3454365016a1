"""The optimization: gradient ascent of a similarity score from noise Y0."""
