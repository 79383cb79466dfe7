"""What knows only the trial dimension: groups of equal members, the layout of their parameters, keyed noise."""
