"""Identify series by their headers (timing before descriptions) and choose which to analyse."""

from analysis.identify.choice import Choice, choose, describe_series
from analysis.identify.identification import identify

__all__ = ["Choice", "choose", "describe_series", "identify"]
