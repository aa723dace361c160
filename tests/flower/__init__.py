"""What needs Flower itself, run from .venv-flower by tests/federation/test_flower_job.py."""
