"""What a person sees and types: messages, progress, tables, completion."""
