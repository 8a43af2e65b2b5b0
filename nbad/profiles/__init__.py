"""Where the time of a call goes, and what this machine allows."""
