"""One row per primitive: how users spell it, its partials, its cost, and what holds at its kinks."""
