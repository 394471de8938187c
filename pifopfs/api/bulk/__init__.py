"""Large bodies are moved by a process of their own, so that TLS does not hold up the others.

It is forked from this one early (`process`), has a client like this one's (`worker`), and is told
over a socket (`channel`, `messages`) what to move between which file and the service. How far a
body has come stands in memory that both share (`progress`).
"""
