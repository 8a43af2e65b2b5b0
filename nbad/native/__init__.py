"""Compiled code that all kernels share: the worker that runs tiles, and the ways into it."""
