"""Tracking of jobs that use NVFlare's recipes with scripts of their own."""
