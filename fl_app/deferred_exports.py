"""Import parts of NVFlare without the exports of its package.

`import nvflare` imports FedJob and SimulatorRunner, and with them the processes of servers and sites.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from threading import RLock
from types import ModuleType
from typing import Any

from fl_app.contract import installed_version

_NAME = "nvflare"


class _Package(ModuleType):
    """The package `nvflare` before its own code has run. The first use of an export runs it."""

    __spec__: ModuleSpec
    _lock = RLock()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        with self._lock:
            if type(self) is _Package:
                self.__class__ = ModuleType  # type: ignore[assignment]
                assert self.__spec__.loader is not None
                self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def defer_package_exports() -> None:
    """Let imports of NVFlare's modules not import the exports of `nvflare`, such as FedJob, before their use.

    They take a third of the CPU time of an administrator's session. There is no effect if `nvflare` has been
    imported.
    """
    if _NAME in sys.modules or (spec := find_spec(_NAME)) is None:
        return
    package = module_from_spec(spec)
    package.__class__ = _Package
    package.__dict__["__version__"] = installed_version(_NAME)  # a login sends it
    sys.modules[_NAME] = package
