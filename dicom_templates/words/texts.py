"""Writes the sentences of our reports and of the science, and numbers, in one language."""

from collections.abc import Iterable
from datetime import date

from analysis.domain.reason import WEIGHTINGS, in_words, weighting
from dicom_templates.words.languages import LANGUAGES

__all__ = ["Texts"]

_WEIGHTINGS = WEIGHTINGS | {"preferred", "contrasts"}
"""The placeholders of sequences in our own sentences."""


class Texts:
    """The sentences in one language.

    Parameters
    ----------
    language : str
        A key of `LANGUAGES`.
    plain : bool
        Whether reasons are told to people (`Language.plain_reasons`).

    Raises
    ------
    ValueError
        If there are no sentences in it.

    Examples
    --------
    >>> Texts("de")("probability", value=Texts("de").percent(0.123))
    'Wahrscheinlichkeit 12 %'
    """

    weighting = staticmethod(weighting)

    def __init__(self, language: str, *, plain: bool = True) -> None:
        if language not in LANGUAGES:
            raise ValueError(f"no sentences in {language!r}; choose one of {', '.join(LANGUAGES)}")
        self.language = language
        self._words = LANGUAGES[language]
        self._reasons = {**self._words.reasons, **(self._words.plain_reasons if plain else {})}

    @property
    def in_full(self) -> "Texts":
        """The sentences in the same language, with every number of a reason, for the measurement report."""
        return Texts(self.language, plain=False)

    def __call__(self, key: str, **values: str) -> str:
        """Return a sentence with its placeholders filled, and weightings written as such."""
        told = {name: weighting(value) if name in _WEIGHTINGS else value for name, value in values.items()}
        return self._words.sentences[key].format(**told)

    def reason(self, reason: str) -> str:
        """Write a reason of the science; a text that is not a `Reason` is returned unchanged.

        Examples
        --------
        >>> from analysis.domain.reason import Reason
        >>> Texts("de").reason(Reason("slices_at_one_place", depth_mm=7.5))
        'zwei Schichten liegen an derselben Stelle (7,5 mm)'
        """
        return in_words(reason, self._reasons, self._number)

    def reasons(self, reasons: Iterable[str]) -> tuple[str, ...]:
        """Write each reason."""
        return tuple(self.reason(one) for one in reasons)

    def listed(self, reasons: Iterable[str]) -> str:
        """Write all reasons in one line."""
        return self.in_line(self.reasons(reasons))

    def in_line(self, clauses: Iterable[str]) -> str:
        """Join clauses that are written already.

        Examples
        --------
        >>> Texts("en").in_line(["no T1w", "no CSF"]), Texts("fr").in_line(["sans T1w", "sans LCR"])
        ('no T1w; no CSF', 'sans T1w ; sans LCR')
        """
        return self("semicolon").join(clauses)

    def labelled(self, label: str, value: str) -> str:
        """Write a label and what it is of."""
        return self("labelled", label=label, value=value)

    def number(self, value: float, digits: int) -> str:
        """Write a number with the decimal separator of the language."""
        return self._number(f"{value:.{digits}f}")

    def _number(self, written: str) -> str:
        return written.replace(".", self._words.decimal_sign)

    def day(self, day: date | None) -> str:
        """Write a date as the language does; nothing for none."""
        return "" if day is None else day.strftime(self._words.date_format)

    def percent(self, fraction: float) -> str:
        """Write a fraction in whole percent; never "0 %" or "100 %", which would claim certainty.

        Examples
        --------
        >>> Texts("en").percent(0.001), Texts("en").percent(0.5), Texts("en").percent(0.9999)
        ('< 1 %', '50 %', '> 99 %')
        """
        if fraction < 0.01:
            return "< 1 %"
        if fraction > 0.99:
            return "> 99 %"
        return f"{100 * fraction:.0f} %"
