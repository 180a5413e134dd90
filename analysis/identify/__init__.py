"""Identify series by their headers, physics first and words second, and choose what to analyse."""

from analysis.identify.choice import Choice, choose
from analysis.identify.identification import identify

__all__ = ["Choice", "choose", "identify"]
