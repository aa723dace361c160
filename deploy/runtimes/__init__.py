"""Runtimes: start, observe and stop a federation as processes, as containers or in Kubernetes."""
