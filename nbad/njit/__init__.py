"""Kernels and their derivatives inside code that Numba compiles: typed by their graphs, inlined as scalar LLVM IR."""
