"""`python -m crucible_ray`: the command without its script."""

import sys

from crucible_ray.cli.main import main

sys.exit(main())
