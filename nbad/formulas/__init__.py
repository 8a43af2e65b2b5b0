"""SymPy, both ways: graphs as expressions, expressions as graphs."""
