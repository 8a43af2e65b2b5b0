"""Runs the user's function once, and notes what it does as a graph."""
