"""Jobs that finish whatever process, container, pod or node is killed; see docs/survival.md."""
