"""Sums over elements that share an entry: cotangents of indexed arguments, and sparse matrices of all elements."""
