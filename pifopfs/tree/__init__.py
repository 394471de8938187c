"""The filesystem in domain terms: files and directories that stand for executions.

    names       what survives the daemon: names, ids, times, the state of every input (SQLite)
    execution   one execution as this mount knows it: status, freshness, failures, the end
    staged      the bytes of one input on the local disk
    inputs      inputs, and the rule that decides when they are uploaded
    inputfolder the inputs of an execution, and whether `start` may run
    outputs     lazy downloads into a bounded cache
    log         the live log
    nodes       what every file and directory can do; refusals by default
    files       the small files of an execution: values, control files, `wait`
    directories the directories, from the root down
    tree        the whole: inode numbers to nodes

Nothing here knows pyfuse3 or httpx: requests come in as method calls, failures leave as the
errors of `pifopfs.errors`, and the service is a `pifopfs.api.FunctionClient`.
"""
