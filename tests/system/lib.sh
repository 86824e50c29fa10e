# What the proofs share. Runs inside the container, as root, under systemd.

export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 SYSTEMD_PAGER='' NO_COLOR=1 SYSTEMD_COLORS=0
SANDBOX=http://127.0.0.1:8089
TOKEN=/run/keepfresh/tokens/crm
proven=0

# prove SENTENCE COMMAND...: the command must succeed; else everything that may tell why is shown, and that was it.
prove() {
    local sentence=$1 said
    shift
    if said=$("$@" 2>&1); then
        proven=$((proven + 1))
        printf 'ok: %s\n' "$sentence"
    else
        printf 'NOT OK: %s\n  %s\n%s\n' "$sentence" "$*" "$said"
        systemctl status keepfresh.service --no-pager --lines=0 || true
        journalctl --no-pager -n 40 -o short-monotonic -u keepfresh.service -u init.scope || true
        exit 1
    fi
}

# eventually COMMAND...: succeeds as soon as the command does, for half a minute.
eventually() {
    local tries=0
    until "$@"; do
        tries=$((tries + 1))
        [ $tries -lt 150 ] || return 1
        sleep 0.2
    done
}

fails() { ! "$@"; }

# ends_with CODE COMMAND...
ends_with() {
    local expected=$1 code=0
    shift
    "$@" || code=$?
    [ $code -eq "$expected" ] || { echo "ended with $code instead of $expected"; return 1; }
}

# is EXPECTED COMMAND...: what the command prints.
is() {
    local expected=$1 found
    shift
    found=$("$@") || true
    [ "$found" = "$expected" ] || { printf 'found    %s\nexpected %s\n' "$found" "$expected"; return 1; }
}

# shows PATTERN COMMAND...: the command succeeds and prints a line like this.
shows() {
    local pattern=$1 found
    shift
    found=$("$@" 2>&1) || { printf '%s\n' "$found"; return 1; }
    grep -Eq -- "$pattern" <<<"$found" || { printf 'no %s in:\n%s\n' "$pattern" "$found"; return 1; }
}

# shows_no PATTERN COMMAND...: the command succeeds and prints no line like this.
shows_no() {
    local pattern=$1 found
    shift
    found=$("$@" 2>&1) || { printf '%s\n' "$found"; return 1; }
    ! grep -E -- "$pattern" <<<"$found"
}

property() { systemctl show keepfresh.service --property="$1" --value; }
owner_and_mode() { stat -c '%U:%G %a' "$1"; }
good() { keepfresh health --ready "$@" >/dev/null; }
as() { local user=$1; shift; setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"; }
# So many sessions the server has begun, in all.
logins() { curl -sS $SANDBOX/sandbox/sessions | grep -o '"access_token"' | wc -l; }
sandbox() { curl -sS -o /dev/null -X POST "$SANDBOX/sandbox/$1" -d "${2:-}"; }

# drop_in NAME: puts standard input into a drop-in of the service and restarts it.
drop_in() {
    install -D -m 0644 /dev/stdin "/etc/systemd/system/keepfresh.service.d/$1.conf"
    systemctl daemon-reload
    systemctl restart keepfresh.service
}

# Follows the token file; gone_for_a_moment says whether it was ever away.
follow_token() {
    rm -f /tmp/gone /tmp/followed
    while [ ! -e /tmp/followed ]; do [ -s $TOKEN ] || touch /tmp/gone; done &
}
stays_in_place() {
    touch /tmp/followed
    wait
    [ ! -e /tmp/gone ]
}
