"""The `Kernel`: decorator, signatures, calls, options, pickling, users' primitives."""
