"""Each sequence of a study is judged by the scanner that its own images state."""

from pydicom import Dataset

from analysis.domain.basis import SEQUENCES
from analysis.domain.remoteness import Departure
from node.analyse.findings import departures_in, scanner_by_basis

ONE, OTHER = "Works, One, 1.5 T", "Works, Other, 1.5 T"


def image(model: str) -> Dataset:
    found = Dataset()
    found.Manufacturer, found.ManufacturerModelName, found.MagneticFieldStrength = "Works", model, "1.5"
    return found


def test_both_sequences_together_have_a_scanner_only_if_it_is_the_same() -> None:
    both = "+".join(SEQUENCES)
    same = scanner_by_basis({"T1": image("One"), "T2": image("One")})
    assert same == {"T1": ONE, "T2": ONE, both: ONE}
    two = scanner_by_basis({"T1": image("One"), "T2": image("Other")})
    assert two == {"T1": ONE, "T2": OTHER, both: ""}
    assert scanner_by_basis({"T1": image("One")}) == {"T1": ONE, both: ""}
    assert scanner_by_basis({"T2": Dataset()}) == {"T2": "", both: ""}


def test_a_scanner_that_has_left_is_not_hidden_by_a_second_one_in_the_study() -> None:
    left = {
        ONE: (Departure("T1", 12, 30), Departure("T2", 13, 30)),
        OTHER: (Departure("T1", 14, 30),),
    }
    mixed = scanner_by_basis({"T1": image("One"), "T2": image("Other")})
    found = departures_in(mixed, "model", lambda scanner, _bundle: left.get(scanner, ()))
    assert found == (Departure("T1", 12, 30),)
    turned = scanner_by_basis({"T1": image("Other"), "T2": image("One")})
    found = departures_in(turned, "model", lambda scanner, _bundle: left.get(scanner, ()))
    assert found == (Departure("T1", 14, 30), Departure("T2", 13, 30))
