# What can follow in a command line of pifopfs. Needs bash 4.4.
_pifopfs_completion() {
    local response type value
    response=$(env _PIFOPFS_COMPLETE=bash_complete COMP_LINE="${COMP_LINE:0:COMP_POINT}" \
        COMP_WORDBREAKS="$COMP_WORDBREAKS" "$1" 2>/dev/null)
    while IFS=, read -r type value; do
        case $type in
        dir) COMPREPLY=() && compopt -o dirnames ;;
        file) COMPREPLY=() && compopt -o default ;;
        plain) COMPREPLY+=("$value") ;;
        esac
    done <<<"$response"
}
complete -o nosort -F _pifopfs_completion pifopfs
