"""What was measured, in files, tables and pictures."""
