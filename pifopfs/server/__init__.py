"""The local function server: the REST API of PIFOP Functions, for functions in folders.

It knows nothing of the filesystem or of the client library; they meet over HTTP.

    function_file  function.json, validated
    catalog        which functions there are
    store          what is kept on disk
    database       its SQLite file, on a full disk, too
    states         the life of an execution, as a table
    executions     what the requests do
    runs           executions while they run
    uploads        inputs on their way
    workspace      the files of one run
    copying        a function's folder copied for a run
    removal        folders removed, whatever is in them
    engines        where programs run
    logs           what programs print
    routes         HTTP to executions
    answers        documents, errors and bodies as HTTP
    refusals       what is not granted, by meaning
    http           connections, and Hypercorn's protocol on them
    sockets        where they come in
    serving        a server from start to end
    occupancy      what keeps one up
    site           `pifopfs serve`: the functions below one folder
    embedded       one server for each mounted folder, started by `mount`
"""
