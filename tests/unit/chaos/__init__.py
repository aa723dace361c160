"""Tests of benchmarks/chaos without a federation."""
