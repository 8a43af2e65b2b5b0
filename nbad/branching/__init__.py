"""Python's control flow on traced values: branches become selections."""
