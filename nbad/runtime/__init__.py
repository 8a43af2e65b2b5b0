"""Arrays in, arrays out: memory, threads, sweeps."""
