"""Every coded concept of the results: the table of concepts, and the codes of radiomic features."""
