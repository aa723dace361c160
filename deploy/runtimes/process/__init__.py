"""Runtime `process`: the federation as processes of this machine; it needs nothing but Python."""

from deploy.runtimes.process.runtime import ProcessRuntime

__all__ = ["ProcessRuntime"]
