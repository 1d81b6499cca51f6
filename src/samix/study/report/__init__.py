"""The report of a study: one page for the one who decides and the one who checks."""
