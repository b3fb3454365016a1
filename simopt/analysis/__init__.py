"""What arrays of responses say about the task, and about each other."""
