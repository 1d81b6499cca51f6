"""Numbers of a study: pure functions of tables, without a word for people."""
