"""Arguments that are picked from an array by an index: `nbad.indexed`."""
