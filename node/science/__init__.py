"""The offline side: simulated studies, the demonstration, and the measuring of a cohort."""
