"""Runtime `docker`: the federation as containers, described by a compose file."""
