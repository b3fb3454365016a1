"""Scripts that show what the package does: they import only ``simopt`` itself."""
