"""What an installation holds: the shipped models, and nothing of the training."""

from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[4]


def test_the_wheel_holds_the_models_and_none_of_the_training() -> None:
    """By the build back end's own list of the files that it would pack."""
    packed = {file.distribution_path for file in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert "analysis/segment/embedded.py" in packed
    assert "analysis/models/segmenter/segmenter.onnx" in packed
    assert "analysis/models/demonstration/model.skops" in packed
    assert "analysis/evaluation/report.html.j2" in packed
    assert not [path for path in packed if "segment/training" in path]
