"""Programs on the nodes of a Slurm cluster: one batch job for each run.

    commands  sbatch, squeue, scancel and sacct, run from here
    states    what the state of a job means, as a table
    queue     one look at the queue for all jobs, again and again
    script    the batch script of a run, and the files that it uses and leaves
    job       a run, from its submission to its end
    engine    all of them, resumed after a restart
    probing   whether every node sees the files of this server

The script does on a node what the local engine does here: the same sandbox, from the same line.
"""
