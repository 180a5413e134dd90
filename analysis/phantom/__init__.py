"""Simulated patients: anatomy, signal and acquisition of lumbar MR, for demonstration and tests only."""

from analysis.phantom.acquisition import SimulatedSeries, simulate
from analysis.phantom.anatomy import draw_anatomy
from analysis.phantom.patient import Sex, SimulatedPatient, cohort, draw_patient
from analysis.phantom.protocol import Protocol, Scanner, fat_suppressed, inverted, vary
from analysis.phantom.scanners import SCANNERS
from analysis.phantom.tissues import Resolution, Tissue, TissueMaps

__all__ = [
    "SCANNERS",
    "Protocol",
    "Resolution",
    "Scanner",
    "Sex",
    "SimulatedPatient",
    "SimulatedSeries",
    "Tissue",
    "TissueMaps",
    "cohort",
    "draw_anatomy",
    "draw_patient",
    "fat_suppressed",
    "inverted",
    "simulate",
    "vary",
]
