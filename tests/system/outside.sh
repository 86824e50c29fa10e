# What the proofs share that run on this machine, beside a container or a root of their own. Sourced.

proven=0

# prove SENTENCE COMMAND...: the command must succeed, or what it said is shown, and that was it.
prove() {
    local sentence=$1 said since=$SECONDS
    shift
    said=$("$@" 2>&1) || { printf 'NOT OK: %s\n  %s\n%s\n' "$sentence" "$*" "$said"; exit 1; }
    proven=$((proven + 1))
    printf 'ok: %s (%s s)\n' "$sentence" $((SECONDS - since))
}
fails() { ! "$@"; }
