"""The source of a kernel, rewritten: its control flow asks `nbad.branching` what to do."""
