"""Runtime `docker`: a federation of containers, described by a compose file."""
