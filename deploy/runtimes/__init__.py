"""Where a federation runs: one protocol (`protocol.Runtime`), one backend a module."""
