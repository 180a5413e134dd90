"""Image analysis: values in, values out. No DICOM, no network, no database."""
