"""One module for each command: read the arguments, call one workflow, print its result."""
