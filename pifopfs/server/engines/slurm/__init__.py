"""Programs on the nodes of a Slurm cluster: one batch job for each run.

    commands    sbatch, squeue, scancel, sinfo and sacct, run from here
    states      what the state of a job means, as a table
    settings    what an operator and a function may say
    pace        how fast jobs are submitted, and how many at once
    queue       one look at the queue for all jobs, again and again
    script      the batch script of a run, whose greater part is batch.sh
    files       the files by which server and node tell each other
    following   what the node writes, read for all runs in turns
    submission  from a run to the id of its one job, whatever happens on the way
    ending      how a run has ended
    job         a run, from its submission to its end
    engine      all of them, resumed after a restart
    strays      jobs whose runs have ended without them
    probing     whether every node sees the files of this server

The script does on a node what the local engine does here: the same sandbox, from the same line.
"""
