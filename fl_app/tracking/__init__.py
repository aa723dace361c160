"""Logged values of jobs (analytics): stored as event files, sent to MLflow and Weights & Biases."""
