"""All tests; runs before torch is imported, and so sets its threads for this process and those that tests start."""

import os

for library in ("OMP", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"
