"""The local function server: the REST API of PIFOP Functions, for functions in folders.

It knows nothing of the filesystem or of the client library; they meet over HTTP.

What is served:

    function_file  function.json, validated
    catalog        which functions there are
    limits         how much a run may use
    site           `pifopfs serve`: the functions below one folder
    embedded       one server for each mounted folder, started by `mount`
    serving        a server from start to end
    occupancy      what keeps one up
    locks          who has a folder

Requests:

    http           connections, and Hypercorn's protocol on them
    lingering      answers before the end of a request
    sockets, tcp   where connections come in
    secured        TLS spoken
    tls            certificates
    routes         HTTP to executions
    key_routes     the endpoints of API keys
    gate           who is admitted
    callers, keys  who that is
    cors           pages of other origins
    openapi        the API described for programs
    answers        documents, errors and bodies as HTTP
    bodies         answers that are long
    outputs        outputs as HTTP
    ranges         parts of them
    waiting        requests that wait
    refusals       what is not granted, by meaning

Executions:

    states         their life, as a table
    executions     what the requests do
    uploads        inputs on their way
    store          what is kept on disk
    database       its SQLite file, on a full disk, too
    runs           executions while they run
    ends           who waits for theirs
    supervision    what ends a program before its time
    disk           what it keeps in its folder
    logs           what it prints
    workspace      its files
    copying        a function's folder copied for it
    removal        folders removed, whatever is in them

Programs:

    engines        where programs run: on this machine, or on a cluster
    sandbox        what keeps them apart
    memory         what keeps their memory within its limit
    processes      how they are found again after the server has died
"""
