"""What tells about kernels and machines: explain, show, profile, doctor, the command line."""
