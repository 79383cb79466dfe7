"""What is measured: metrics, diagnostics, exact statistics, times."""
