"""Read what the cards of models say; loading the models themselves is slow."""

import json
from pathlib import Path

from node.domain.health import judge_model
from node.domain.status import Station

__all__ = ["card_of", "model_station", "name_of"]


def card_of(bundle: Path) -> dict[str, object]:
    """Read the card of a model; empty if it cannot be read."""
    try:
        card = json.loads((bundle / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return card if isinstance(card, dict) else {}


def name_of(bundle: Path) -> str:
    """Return name and version of a model, as its card says; the name of its folder if it cannot be read."""
    card = card_of(bundle)
    return f"{card['name']} {card.get('version', '')}".strip() if "name" in card else bundle.name


def model_station(bundle: Path | None) -> Station:
    """Judge the model of the node by its card."""
    if bundle is None:
        return judge_model("", "", simulated=False)
    card = card_of(bundle)
    simulated = bool(card.get("simulated", False))
    return judge_model(str(card.get("name", "?")), str(card.get("version", "?")), simulated=simulated)
