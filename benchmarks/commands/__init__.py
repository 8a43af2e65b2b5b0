"""The commands of `python -m benchmarks`, one module each: what it measures, prints and writes; and options that they share."""
