"""The reduced kill matrix of benchmarks/chaos, on processes."""
