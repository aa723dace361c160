"""NVFlare's package exports, imported at their first use."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
from fl_app.deferred_exports import defer_package_exports
defer_package_exports()
import nvflare.apis.fl_constant
import nvflare
print(nvflare.__version__)  # a login reads it
print("nvflare.job_config" in sys.modules)
print(hasattr(nvflare, "no_such_name"))
from nvflare import FedJob, SimulatorRunner
print(FedJob.__name__, SimulatorRunner.__name__)
"""


def test_exports_of_nvflare_are_imported_at_their_first_use() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2.9.0", "False", "False", "FedJob", "SimulatorRunner"]
