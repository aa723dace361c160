"""Validation of project.yml: every mistake with its file, line and remedy."""
