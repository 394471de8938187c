"""Events of inotify(7) that are raised here for changes at the service: their bits."""

MODIFY = 0x002
ATTRIB = 0x004
CLOSE_WRITE = 0x008
CREATE = 0x100
