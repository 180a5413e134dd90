"""The paper's experiment and a stricter one, on any feature table, and its report."""
