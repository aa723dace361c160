"""Examples of NVFlare 2.9.0 as small jobs of our own: on the kit they end as on stock NVFlare.

The folder is a job of the kit: `flarefleet submit tests/examples --set example=hello-pt`.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))  # for example_jobs, as the kit does for a job
