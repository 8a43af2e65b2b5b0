"""What values and functions mean inside a kernel."""
