"""The night's verdicts and prices as SQL views, one file a rule, read in the order of their numbers."""
