"""Several calls, one answer: how answers are matched, and how they are counted."""

from crucible_ray.ensemble.normalizing import Normalizer, normalize, normalizer
from crucible_ray.ensemble.voting import Ballot, Vote, majority

__all__ = ["Ballot", "Normalizer", "Vote", "majority", "normalize", "normalizer"]
