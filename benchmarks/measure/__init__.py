"""How it is measured: processes of their own, who speaks with them, and in which order they are timed."""
