"""What the store tells: tables, rankings, SQL. Reads the store only."""
