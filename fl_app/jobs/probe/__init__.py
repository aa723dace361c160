"""A job that trains nothing: it tells whether a federation can run jobs at all, and how fast."""
