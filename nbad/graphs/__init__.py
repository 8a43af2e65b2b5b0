"""Scalar graphs: build, check, evaluate, simplify, differentiate."""
