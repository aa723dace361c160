"""Tests of the kit's jobs, each against its reference."""
