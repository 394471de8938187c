"""The embedded server: one for each mounted folder and user, shared by the folder's mounts.

    place   where its store and its sockets are
    host    the server's side: serve until nobody needs it
    guest   the client's side: join the server that is there, or start one

A client holds the server by a connection to its second socket, the lease: the kernel closes it
when the client dies, however it dies. The server outlives its clients while programs run on it.
"""

from pifopfs.server.embedded.guest import Lease, end_embedded, join_or_start
from pifopfs.server.embedded.host import serve_folder
from pifopfs.server.embedded.place import Place

__all__ = ["Lease", "Place", "end_embedded", "join_or_start", "serve_folder"]
