"""What an experiment asks about: loaders, nested samples, and the shipped demo set."""

from crucible_ray.datasets.loading import LoadedDataset, load_items
from crucible_ray.datasets.mmlu import STEM, read_mmlu
from crucible_ray.datasets.sampling import nested_sample
from crucible_ray.datasets.storing import checksum, to_jsonl

__all__ = ["STEM", "LoadedDataset", "checksum", "load_items", "nested_sample", "read_mmlu", "to_jsonl"]
