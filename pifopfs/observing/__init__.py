"""What lets people see inside a running process; everybody may use it, and it knows nobody.

    ids        one id for each request to a service, for the log lines about it
    histogram  how long things take, in a handful of numbers
    text       text of others in lines of ours
    stacks     where a coroutine waits
    dumps      SIGUSR1 tells the log what the process does at that moment

What is counted is kept where it happens: `fuse.activity`, `api.recording`, `tree.cache`.
"""
