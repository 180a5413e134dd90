"""The DICOM objects of a result set, one module for each kind."""
