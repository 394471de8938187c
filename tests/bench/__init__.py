"""scripts/bench: how fast it is, beside what a user would take instead. See docs/PERFORMANCE.md."""
