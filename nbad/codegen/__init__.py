"""A graph becomes code (vector IR, readable Python, machine code), which is kept on disk."""
