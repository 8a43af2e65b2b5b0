"""The parts of `nbad.testing`: what a check may find, the oracles, the case on trial, and the checks."""
