"""How good the best is, and how surely: configurations, intervals, the winner, what it is measured against."""
