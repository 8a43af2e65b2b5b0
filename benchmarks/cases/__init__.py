"""What is measured: kernels with their inputs, the sweeps over them, and the reference that results must meet."""
