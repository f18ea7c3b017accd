"""An item becomes messages; a reply becomes an answer: the same for every condition."""

from crucible_ray.prompts.parsing import Parser, answer_key, parser
from crucible_ray.prompts.rendering import Renderer, example_answer, prompt_key, prompt_text

__all__ = [
    "Parser",
    "Renderer",
    "answer_key",
    "example_answer",
    "parser",
    "prompt_key",
    "prompt_text",
]
