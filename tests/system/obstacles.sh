# What stands in the daemon's way is named, and once it is gone the service mends itself.

logins_before=$(logins)
said() { journalctl -u keepfresh.service --since "$1" -o cat; }
now() { date '+%F %T'; }

since=$(now)
printf '[Service]\nReadOnlyPaths=/var/lib/keepfresh\n' | drop_in obstacle 2>/dev/null
prove 'a state directory on a read-only file system is named with the remedy' \
    eventually shows 'failed to use the state directory /var/lib/keepfresh: Read-only file system.*ReadWritePaths=' said "$since"
prove 'with exit code 1' eventually is 1 property ExecMainStatus
rm /etc/systemd/system/keepfresh.service.d/obstacle.conf
systemctl daemon-reload
prove 'writable again, the service is back by itself' eventually good crm

systemctl stop keepfresh.service
since=$(now)
chown root: /var/lib/keepfresh/lock
chmod 0600 /var/lib/keepfresh/lock
systemctl start keepfresh.service 2>/dev/null
prove 'state that belongs to another is named' eventually shows 'failed to .*/var/lib/keepfresh.*Permission denied' said "$since"
chown keepfresh: /var/lib/keepfresh/lock
prove 'given back, the service is back by itself' eventually good crm

systemctl stop keepfresh.service
since=$(now)
rm -f /run/keepfresh/keepfresh.sock
echo 'not a socket' >/run/keepfresh/keepfresh.sock
systemctl start keepfresh.service 2>/dev/null
prove 'a file in the place of the socket is named and left alone' \
    eventually shows 'failed to bind /run/keepfresh/keepfresh.sock: there is a file that is not a socket' said "$since"
prove 'with what it holds' is 'not a socket' cat /run/keepfresh/keepfresh.sock
rm /run/keepfresh/keepfresh.sock
prove 'away, the service is back by itself' eventually good crm
kill -KILL "$(property MainPID)"
prove 'a socket that a killed daemon left is replaced' eventually good crm

second() { # STATE_DIRECTORY; what it said, and how it ended
    local code=0
    systemd-run -q --wait --pipe --property=User=keepfresh --setenv=RUNTIME_DIRECTORY=/run/keepfresh \
        --setenv=STATE_DIRECTORY="$1" keepfresh run --config /etc/keepfresh/config.toml 2>&1 || code=$?
    echo "ended with $code"
}
install -d -o keepfresh -m 0700 /srv/second
second /var/lib/keepfresh >/root/same-state
second /srv/second >/root/same-socket
prove 'a second daemon on the same state says so' shows 'another keepfresh \(process [0-9]+\) uses it' cat /root/same-state
prove 'one on the same socket too' shows 'failed to bind /run/keepfresh/keepfresh.sock: ' cat /root/same-socket
prove 'both end with 1' is '2' grep -hc '^ended with 1$' <(cat /root/same-state /root/same-socket)
prove 'the first goes on' good crm

systemctl stop systemd-journald.socket systemd-journald-dev-log.socket systemd-journald-audit.socket systemd-journald.service 2>/dev/null
prove 'without a journald it starts' systemctl restart keepfresh.service
prove 'and works' good crm
systemctl start systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
systemctl restart keepfresh.service
prove 'none of it made a login' is "$logins_before" logins
