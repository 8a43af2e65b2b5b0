"""Graphs of derivatives: local partials as edges, swept backwards or forwards, carried by loops, read off equations."""
