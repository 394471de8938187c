"""The sandbox of a run: bubblewrap with an allow-list, a filter of system calls, no privileges.

`settings` is what a function may ask for, `line` the command line of bubblewrap, `stepdown` how a
server that root runs gives up its rights first, `bubblewrap` all of it for one run, `body` the
processes in it. What a program sees: its own folder as /job, /usr and a few files of /etc, an empty
/tmp, its own processes; no network unless the function asks for it.
"""
