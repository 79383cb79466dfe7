"""The record of every run: typed Parquet tables, committed atomically and read exactly once."""
