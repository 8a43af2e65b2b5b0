"""Python's control flow on traced values: branches become selections, and loops one pass for all passes."""
