# Runs one program on a node; see script.py, which puts `begin` and these variables before it:
#   engine work       folders: how server and node tell each other, and where the program runs
#   fresh             a word that the node must see in engine/fresh
#   most grace        bytes that its log takes; twentieths of a second between TERM and KILL
#   ASK KILL          signals by which the server has the program end
#   UNUSABLE TAKEN STOPPED   exit codes where nothing was run

LC_ALL=C
program='' asked=''

# ── Processes: without one more for each look ────────────────────────────────────────────────────

find_below() { # adds the processes that come from one to `found`
    local file child children
    for file in /proc/"$1"/task/*/children; do
        read -ra children <"$file"
        for child in "${children[@]}"; do
            found+=("$child")
            find_below "$child"
        done
    done
}
sort_out() { # sets `inside`, bubblewrap's own processes, and `others`, the living ones
    local pid name stat found=()
    inside=() others=()
    find_below "$program"
    for pid in "$program" "${found[@]}"; do
        read -r name <"/proc/$pid/comm" && read -r stat <"/proc/$pid/stat" || continue
        stat=${stat##*) }
        case $name,$stat in
        bwrap,*) [ "$pid" = "$program" ] || inside+=("$pid") ;;
        *,Z*) ;;
        script,*) [ "$pid" = "$program" ] || others+=("$pid") ;; # the first one makes the terminal
        *) others+=("$pid") ;;
        esac
    done
}
ask_to_end() { # bubblewrap would end with the program proper, and take the others along
    local i boxes
    asked=yes
    [ "$program" ] || return
    sort_out
    boxes=("${inside[@]}")
    kill -STOP "${boxes[@]}"
    kill -TERM "${others[@]}"
    for ((i = 0; i < grace; i++)); do
        sort_out
        [ ${#others[@]} -gt 0 ] || break
        sleep 0.05
    done
    kill -KILL "${others[@]}"
    kill -CONT "${boxes[@]}"
} 2>/dev/null
end_it() {
    local found=()
    asked=yes
    [ "$program" ] || return
    find_below "$program"
    kill -KILL -- "$program" "-$program" "${found[@]}"
} 2>/dev/null

# ── Memory ───────────────────────────────────────────────────────────────────────────────────────

find_counts() { # those of this job's own control group
    local controllers path
    counts=''
    while IFS=: read -r _ controllers path; do
        case $path in */job_"$SLURM_JOB_ID"/*) ;; *) continue ;; esac
        case ,$controllers, in
        *,memory,*) counts=/sys/fs/cgroup/memory$path/memory.oom_control; break ;;
        ,,) counts=/sys/fs/cgroup$path/memory.events ;;
        esac
    done </proc/self/cgroup
}
short_of_memory() { # the kernel has killed a process for that
    local key value
    [ -r "$counts" ] || return 1
    while read -r key value; do
        [ "$key" != oom_kill ] || [ "$value" = 0 ] || return 0
    done <"$counts"
    return 1
}
watch_memory() { # it kills one process only, and others would go on
    [ -r "$counts" ] || return
    exec 249<> <(:) # where nothing ever comes
    until short_of_memory; do read -rt 0.5 <&249; done
    end_it
} 2>/dev/null

# ── The run ──────────────────────────────────────────────────────────────────────────────────────

trap ask_to_end "$ASK"
trap end_it "$KILL"

for ((i = 0; i < 50; i++)); do # the node must see within 5 s what was written
    cd "$engine" && [ "$(<fresh)" = "$fresh" ] && break
    sleep 0.1
done 2>/dev/null
[ "$(<fresh)" = "$fresh" ] && [ -d "$work" ] || exit "$UNUSABLE"
exec >>messages 2>&1
mkdir taken || { [ -d taken ] && exit "$TAKEN"; exit "$UNUSABLE"; }
[ -z "$asked" ] || exit "$STOPPED"

find_counts
exec 250> >(
    stdbuf -o0 head -c "$most" >>printed
    IFS= read -rd '' -n 1 && echo $((1 + $(wc -c))) >dropped
)
reader=$!
echo begun >said
begin >&250 2>&1 250>&- &
program=$!
watch_memory 250>&- &
watcher=$!
[ -z "$asked" ] || end_it
while wait "$program"; kill -0 "$program"; do :; done 2>/dev/null
wait "$program"
code=$?
kill "$watcher" 2>/dev/null
# Where Slurm ends the job, it ends this script, too, maybe a moment later: then no end is told.
[ $code = 0 ] || [ "$asked" ] || sleep 0.2
exec 250>&-
for ((i = 0; i < 1000; i++)); do # what was printed comes within 10 s
    kill -0 "$reader" 2>/dev/null || break
    sleep 0.01
done
dropped=$(<dropped)
short_of_memory && short=1 || short=0
echo $code "$(stat -c %s printed)" "${dropped:-0}" $short >end
exit $code
