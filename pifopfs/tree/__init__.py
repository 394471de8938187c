"""The filesystem in domain terms: files and directories that stand for executions.

    names       what survives the daemon: names, ids, times, the state of every input (SQLite)
    execution   one execution as this mount knows it: status, freshness, failures, the end
    staged      the bytes of one input on the local disk
    inputrecord what is known of an input, and recorded
    uploading   how an input comes to the service
    inputs      what opening, writing and closing an input do: the upload rule
    inputfolder the inputs of an execution, and whether `start` may run
    outputs     lazy downloads into a bounded cache
    log         the live log
    nodes       what every file and directory can do; refusals by default
    files       the small files of an execution: values, control files, `wait`
    directories the directories, from the root down
    looks       when somebody looks at what may change, and so may begin to watch it with inotify
    watchers    who watches what with inotify, and what he waits to be told
    following   one execution that is watched: kept fresh, and what changes is told
    raiserview  the tree for the process that raises the events
    hidden      `.pifopfs/`, what the mount tells of itself
    listing     what is known of executions, told without asking
    tree        the whole: inode numbers to nodes

Nothing here knows pyfuse3 or httpx: requests come in as method calls, failures leave as the
errors of `pifopfs.errors`, and the service is a `pifopfs.api.FunctionClient`.
"""
