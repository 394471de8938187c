"""A mount from beginning to end: the parts put together, the daemon, and taking it down.

mountpoint  whether a folder can be mounted on; what is mounted where; dead mounts
runner      wires service, tree and FUSE; signals, readiness, shutdown order
daemon      into the background, telling the caller how it went
records     which mounts of this user are live, for `umount` and `forget`
control     requests to a live mount that are no file operations
asking      … as a command makes them
notifying   tells those who watch with inotify what changes at the service
watches     the watches that processes have
raising     the process that raises the events
raiser      its program, which imports nothing of this
unmount     `pifopfs umount`
insight     what a mount shows of itself: `.pifopfs`, dumps
metrics     what it counts
stats       … in the text format of Prometheus
holders     who keeps a mount busy
"""
