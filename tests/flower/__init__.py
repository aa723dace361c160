"""Tests that need Flower; tests/federation/test_flower_job.py runs them in .venv-flower."""
