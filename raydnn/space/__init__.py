"""What a sweep searches: domains, and the conditional space over the specs."""
