"""One execution from its beginning to its end without a mount, and parts of that.

wishes       what goes in and what is wanted, checked before anything is asked of the service
sources      the bytes of inputs, at hand before there is an execution
targets      where outputs go: never half of one under its name
bringing     outputs brought there
job          create, upload, start, follow, bring, terminate
result       what there is to tell of it
times        when it happened
ends         how an execution ended
following    its log as it grows, and its end
interruption a signal ends a job in order, a second one at once
together     several things at once
writing      bytes written where that may take its time

Nothing here prints: what is to be seen goes to an `Audience`.
"""
