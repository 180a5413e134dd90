"""Colours for a dark reading room, distinct for every kind of colour vision (Okabe and Ito 2008)."""

from dicom_templates.pictures.canvas import Colour

__all__ = [
    "BACKGROUND",
    "BODY",
    "BRIGHT",
    "EXCLUDED",
    "FLUID",
    "NEXT_BODY",
    "PANEL",
    "QUIET",
    "RULE",
    "WARNING",
]

BACKGROUND: Colour = (13, 16, 21)
PANEL: Colour = (23, 28, 35)
RULE: Colour = (52, 60, 72)
BRIGHT: Colour = (236, 240, 245)
QUIET: Colour = (164, 174, 188)
WARNING: Colour = (240, 228, 66)
BODY: Colour = (86, 180, 233)
NEXT_BODY: Colour = (240, 228, 66)
"""Of every second body, so that bodies that touch can be distinguished."""
FLUID: Colour = (204, 121, 167)
EXCLUDED: Colour = (230, 159, 0)
