"""Findings to DICOM datasets. Pure: no disk, no network."""
