"""Runs on a Slurm cluster, beside sbatch on the same one.

cluster  a cluster of this bench's own, and a local server that uses it
plain    what a user would write without pifopfs
jobs     one job, hundreds, a thousand
looks    what it costs to look at the queue
"""
