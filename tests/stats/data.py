"""Small published data sets that reference numbers were computed on."""

from __future__ import annotations

import numpy as np

from crucible_ray.stats.result import Floats

GUIDE_CONTROL = np.array([0.89, 0.87, 0.90, 0.88, 0.91])
GUIDE_TREATMENT = np.array([0.96, 0.97, 0.94, 0.95, 0.98])

SLEEP_1 = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])  # Student 1908; R: sleep
SLEEP_2 = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])

# Hollander and Wolfe 1973, pp. 69 and 29; R: ?wilcox.test
PERMEABILITY_TERM = np.array([0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46])
PERMEABILITY_EARLY = np.array([1.15, 0.88, 0.90, 0.74, 1.21])
DEPRESSION_FIRST = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
DEPRESSION_SECOND = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])

# Pain scores of Brunner and Munzel 2000
PAIN_Y = np.array([1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 4, 1, 1.0])
PAIN_N = np.array([3, 3, 4, 3, 1, 2, 3, 1, 1, 5, 4.0])

PLANTS: list[Floats] = [  # Dobson 1983; R: PlantGrowth
    np.array([4.17, 5.58, 5.18, 6.11, 4.50, 4.61, 5.17, 4.53, 5.33, 5.14]),
    np.array([4.81, 4.17, 4.41, 3.59, 5.87, 3.83, 6.03, 4.89, 4.32, 4.69]),
    np.array([6.31, 5.12, 5.54, 5.50, 5.37, 5.29, 4.92, 6.15, 5.80, 5.26]),
]

SPRAYS: list[Floats] = [  # Beall 1942; R: InsectSprays
    np.array([10, 7, 20, 14, 14, 12, 10, 23, 17, 20, 14, 13.0]),
    np.array([11, 17, 21, 11, 16, 14, 17, 17, 19, 21, 7, 13.0]),
    np.array([0, 1, 7, 2, 3, 1, 2, 1, 3, 0, 1, 4.0]),
    np.array([3, 5, 12, 6, 4, 3, 5, 5, 5, 5, 2, 4.0]),
    np.array([3, 5, 3, 5, 3, 6, 1, 1, 3, 2, 6, 4.0]),
    np.array([11, 9, 15, 22, 15, 16, 13, 10, 26, 26, 24, 13.0]),
]

_ROUNDING = """5.40 5.50 5.55 5.85 5.70 5.75 5.20 5.60 5.50 5.55 5.50 5.40 5.90 5.85 5.70 5.45 5.55 5.60 5.40 5.40 5.35
5.45 5.50 5.35 5.25 5.15 5.00 5.85 5.80 5.70 5.25 5.20 5.10 5.65 5.55 5.45 5.60 5.35 5.45 5.05 5.00 4.95 5.50 5.50
5.40 5.45 5.55 5.50 5.55 5.55 5.35 5.45 5.50 5.55 5.50 5.45 5.25 5.65 5.60 5.40 5.70 5.65 5.55 6.30 6.30 6.25"""
ROUNDING_TIMES: list[Floats] = list(  # Hollander and Wolfe 1973, p. 140; R: ?friedman.test
    np.array(_ROUNDING.split(), np.float64).reshape(22, 3).T
)

_MEDIA = np.repeat(  # Cochran 1950, table 1: growth on four media
    [[1, 1, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], [4, 2, 3, 1, 59], axis=0
)
MEDIA: list[Floats] = list(_MEDIA.T.astype(np.float64))


def outcomes(successes: int, n: int) -> Floats:
    """So many ones in n."""
    return np.repeat([1.0, 0.0], [successes, n - successes])


_SILVER = (  # NIST StRD AtmWtAg: atomic weights of silver by two instruments, in ten-millionths above 107.868
    """1568 1465 1572 1785 1446 1903 1526 1494 1616 1587 1519 1486 1419 1569 1508 1672 1385 1518 1662 1424 1360
1333 1610 1477""",
    """1079 1344 1513 1197 1604 1385 1642 1365 1151 1082 1517 1448 1198 1482 1334 1609 1101 1512 1469 1360 1254
1261 1450 1368""",
)
SILVER: list[Floats] = [np.array([float(f"107.868{digits}") for digits in text.split()]) for text in _SILVER]
