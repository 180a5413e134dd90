"""Read what the cards of models say, and whether their files are whole; loading the models is slow."""

from pathlib import Path

from analysis.errors import ModelRejectedError
from analysis.prediction.checksums import digest_of, written_card
from node.domain.health import judge_model
from node.domain.status import Station

__all__ = ["model_station", "name_of"]


def name_of(bundle: Path) -> str:
    """Return name and version of a model, as its card says; the name of its folder if it cannot be read."""
    card = written_card(bundle)
    return f"{card['name']} {card.get('version', '')}".strip() if "name" in card else bundle.name


def model_station(bundle: Path | None) -> Station:
    """Judge the model of the node by its card and the checksums of its files."""
    if bundle is None:
        return judge_model("", "", simulated=False)
    try:
        digest_of(bundle)
    except ModelRejectedError as error:
        return judge_model("", "", simulated=False, fault=str(error))
    card = written_card(bundle)
    simulated = bool(card.get("simulated", False))
    return judge_model(str(card.get("name", "?")), str(card.get("version", "?")), simulated=simulated)
