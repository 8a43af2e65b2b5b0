"""What one does with a kernel: vjp, pullback, pushforward, Jacobians, gradients, kernels from SymPy."""
