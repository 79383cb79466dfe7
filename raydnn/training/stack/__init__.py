"""The stack: members, their parameters, the parts computed at once, what they take."""
