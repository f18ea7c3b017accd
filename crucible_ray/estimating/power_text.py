"""What a plan can find, as lines."""

from __future__ import annotations

from collections.abc import Sequence

from crucible_ray.estimating.assumptions import Assumptions
from crucible_ray.estimating.power import PowerForecast


def forecast_lines(found: Sequence[PowerForecast]) -> list[str]:
    """Hypothesis by hypothesis; what they have in common once."""
    lines = [line for forecast in found for line in _lines(forecast)]
    common = next((forecast for forecast in found if _wants_smallest(forecast)), None)
    return lines + ([] if common is None else [_smallest(common)])


def _wants_smallest(forecast: PowerForecast) -> bool:
    """Whether standard deviations say what nothing else does: somebody asked for an effect, or no unit is known."""
    if forecast.detectable_sd is None:
        return False
    return forecast.smallest != Assumptions().smallest or (
        forecast.power is None and forecast.detectable is None
    )


def _lines(forecast: PowerForecast) -> list[str]:
    if forecast.power is None or forecast.effect is None:
        return [_without_effect(forecast)]
    span = _span([f"{power:.2f}" for power in sorted(forecast.power)])
    if (most := forecast.independent) is not None:
        span = f"at least {span}"
    of = "" if forecast.pilot is None else f", with the spread of pilot {forecast.pilot}"
    lines = [
        f"Power: {span} with {forecast.items:,} items to support "
        f'"{forecast.hypothesis}" at a true difference of {_points(forecast.effect)} points{of}'
    ]
    if most is not None:
        there = _span([f"{power:.2f}" for power in sorted(most)])
        lines.append(f"  {there} if an item's {forecast.repeats} repeats are independent of one another")
    lines += [f"  {part}" for part in (_needed(forecast), _detectable(forecast)) if part]
    if forecast.split is not None:
        split = forecast.split
        lines.append(
            f"  the same trials as {split.items:,} items {_times(split.repeats)}, not {forecast.items:,} "
            f"{_times(forecast.repeats)}: {_span([f'{power:.2f}' for power in sorted(split.power)])}"
        )
    if (early := forecast.stopping) is not None:
        betting, looks = (
            _span([f"{items:,.0f}" for items in sorted(means)]) for means in (early.betting, early.looks)
        )
        lines.append(
            f"  stopping early it asks {betting} items on average by a betting sequence, {looks} by "
            f"{len(early.shares)} planned looks; {early.largest:,} at most"
        )
    return lines + ([f"  {forecast.note}"] if forecast.note else [])


def _without_effect(forecast: PowerForecast) -> str:
    head = f'Power: of "{forecast.hypothesis}"'
    if forecast.note is not None:
        return f"{head} nothing is told beforehand: {forecast.note}"
    if forecast.detectable is not None and forecast.detectable[0] is not None:
        return (
            f"{head}: {forecast.items:,} items find a true difference of {forecast.detectable[0]:.4g} with "
            f"{forecast.target_power:.2f}, with the spread of pilot {forecast.pilot}"
        )
    return f"{head} nothing is told in its own unit: how {forecast.metric} spreads, a pilot says (crucible-ray power --pilot DIR)"


def _needed(forecast: PowerForecast) -> str:
    needed = [items for items in forecast.items_needed or () if items is not None]
    if not needed:
        return ""
    return f"{_span([f'{items:,}' for items in sorted(needed)])} items would give {forecast.target_power:.2f}"


def _detectable(forecast: PowerForecast) -> str:
    if forecast.detectable is None:
        return ""
    found = [effect for effect in forecast.detectable if effect is not None]
    if not found:
        return f"{forecast.items:,} items are too few for any difference to have {forecast.target_power:.2f}"
    span = _span([_points(effect) for effect in sorted(found)])
    return f"{forecast.items:,} items have {forecast.target_power:.2f} from a true difference of {span} points on"


def _smallest(forecast: PowerForecast) -> str:
    return (
        f"Smallest effect of interest ([stats.power] min_detectable_effect): {forecast.smallest:g} standard deviations of "
        f"an item's difference, which {forecast.items_for_smallest:,} items find with {forecast.target_power:.2f}; "
        f"{forecast.items:,} items find {forecast.detectable_sd:.2g} standard deviations"
    )


def _times(repeats: int) -> str:
    return "once" if repeats == 1 else f"{repeats} times"


def _points(effect: float) -> str:
    return f"{100 * effect:+.3g}"


def _span(parts: list[str]) -> str:
    return " to ".join(dict.fromkeys(parts))
