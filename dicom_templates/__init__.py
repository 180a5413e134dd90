"""Turns findings into DICOM datasets. Pure: no disk, no network, no clock."""
