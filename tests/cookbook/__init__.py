"""The recipes of docs/COOKBOOK.md, run as they stand there."""
