"""What a careful author writes by hand: the adjoint, the loops, and what they must compute and move at least."""
