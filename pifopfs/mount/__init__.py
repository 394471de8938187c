"""A mount from beginning to end: the parts put together, the daemon, and taking it down.

mountpoint  whether a folder can be mounted on; what is mounted where; dead mounts
runner      wires service, tree and FUSE; signals, readiness, shutdown order
daemon      into the background, telling the caller how it went
records     which mounts of this user are live, for `umount` and `forget`
control     requests to a live mount that are no file operations
unmount     `pifopfs umount`
holders     who keeps a mount busy
"""
