"""DICOM networking that several stations share: associations, TLS, queries, storage commitment."""
