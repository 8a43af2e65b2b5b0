"""How objects show themselves: the names that `dir` lists, tables of text, and pages for notebooks."""
