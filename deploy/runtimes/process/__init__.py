"""Runtime `process`: the federation as processes of this machine. It needs nothing but Python."""

from deploy.runtimes.process.runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
