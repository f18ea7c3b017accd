"""What an experiment asks about: loaders, filters, nested samples, and the shipped sets."""

from crucible_ray.datasets.loading import LoadedDataset, load_items
from crucible_ray.datasets.mmlu import STEM, read_mmlu
from crucible_ray.datasets.sampling import nested_sample
from crucible_ray.datasets.several import combine
from crucible_ray.datasets.short import load
from crucible_ray.datasets.storing import checksum, to_jsonl

__all__ = [
    "STEM",
    "LoadedDataset",
    "checksum",
    "combine",
    "load",
    "load_items",
    "nested_sample",
    "read_mmlu",
    "to_jsonl",
]
