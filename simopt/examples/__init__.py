"""Scripts that show how to use the package. They import only ``simopt`` itself."""
