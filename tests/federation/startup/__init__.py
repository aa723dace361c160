"""Tests of the start and the exit of a parent."""
