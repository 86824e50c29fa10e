# What boots and what is installed into: a minimal Debian, fetched once. Sourced, at the top of the checkout.

suite=${SUITE:-bookworm}
mirror=${MIRROR:-http://deb.debian.org/debian}

refuse() { printf '%s: %s\n' "$0" "$1" >&2; exit 1; }

# needs_namespaces FOR: ends where none can be made.
needs_namespaces() {
    [ "$(id -u)" = 0 ] || refuse "this needs root: $1"
    [ ! -d /proc/sys/kernel ] || unshare --mount --pid --net --uts --ipc --fork true 2>/dev/null ||
        refuse 'this machine makes no namespaces; run it where it may (a privileged container will do)'
}

# minimal_debian PACKAGES: the directory with one, beside which it is kept; PACKAGES, with commas, are what it has besides.
minimal_debian() {
    local kept
    kept=$PWD/target/system/$suite-$(printf %s "$1" | cksum | cut -d' ' -f1)
    if [ ! -e "$kept/etc/debian_version" ]; then
        echo "a minimal Debian $suite comes from $mirror, once, into $kept" >&2
        rm -rf "$kept" "$kept.new"
        mkdir -p "$kept.new"
        debootstrap --variant=minbase --include="$1" "$suite" "$kept.new" "$mirror" >"$kept.log" 2>&1 ||
            { tail -n 20 "$kept.log" >&2; refuse 'debootstrap failed'; }
        # As on a machine of its own: the first boot makes another.
        : >"$kept.new/etc/machine-id"
        rm -f "$kept.new/var/cache/apt/archives/"*.deb
        mv "$kept.new" "$kept"
    fi
    echo "$kept"
}
