"""The embedded server: one for each mounted folder and user, shared by the folder's mounts.

    place   where its store and its sockets are
    manner  how it runs programs
    host    the server's side: serve until nobody needs it
    starter a process that starts it
    guest   the client's side: join the server that is there, or start one

A client holds the server by a connection to its second socket, the lease: the kernel closes it
when the client dies, however it dies. The server outlives its clients while programs run on it.
"""
