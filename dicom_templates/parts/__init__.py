"""What DICOM objects are made of: codes, content items, identifiers, and what is copied from the source."""
