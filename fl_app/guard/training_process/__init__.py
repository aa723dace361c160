"""The folder that the guard adds to PYTHONPATH of training processes; it holds only `sitecustomize`."""
