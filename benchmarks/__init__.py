"""What kernels cost, beside other tools: see README.md in this folder."""
