"""The DICOM objects that are written, one module for each kind, and what they have in common."""
