"""The sandbox of a run: bubblewrap with an allow-list, a filter of system calls, no privileges."""
