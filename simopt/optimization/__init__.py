"""The optimization: noise Y0 follows the gradient of a score."""
