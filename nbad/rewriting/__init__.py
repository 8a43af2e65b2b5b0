"""The text of a function: found, proved to be what was compiled, and rewritten so that its control flow is called for."""
