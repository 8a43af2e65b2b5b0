"""Lists, arrays, objects and variables that a kernel may change: what they are, what they held before, which are one another."""
