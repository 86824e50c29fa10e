# Who may read: the file's group and owner, also over the socket, and nobody else.

logins_before=$(logins)
useradd --user-group etl
useradd --user-group --groups etl job
useradd --user-group stranger
cat >>/etc/keepfresh/config.toml <<'END'

[[sessions.crm.publish]]
file = "crm"
group = "etl"

[[sessions.crm.publish]]
file = "/srv/etl/token"
owner = "etl"
mode = "0600"

[[sessions.crm.publish]]
file = "/home/etl/token"
group = "etl"
END
install -d -o keepfresh /srv/etl /home/etl
systemctl reload keepfresh.service
failed() { journalctl -u keepfresh.service EVENT=publish_failed -o cat; }
prove 'without its drop-in, a group that is not the daemon'"'"'s is named with the remedy' \
    eventually shows 'tokens/crm: Operation not permitted.*SupplementaryGroups=.*`keepfresh check` prints the drop-in' failed
prove 'so is a directory that the unit does not let it write to' \
    eventually shows 'etl/token: Read-only file system.*ReadWritePaths=.*`keepfresh check` prints the drop-in' failed
prove 'so is one that the unit hides' \
    eventually shows 'home/etl/token: Permission denied.*`keepfresh check` prints the drop-in' failed
keepfresh check --json | sed -n 's/.*"systemd_drop_in": "\(.*\)".*/\1/p' >/root/drop-in
printf '%b' "$(cat /root/drop-in)" >/root/drop-in
prove 'check prints the drop-in that the config needs' grep -q '^SupplementaryGroups=etl$' /root/drop-in
prove 'with the right to give files away, for a foreign owner' grep -q '^AmbientCapabilities=CAP_CHOWN$' /root/drop-in
grep -v CAP_CHOWN /root/drop-in | drop_in check
prove 'without that right, the message names it' \
    eventually shows 'etl/token: Operation not permitted.*CAP_CHOWN: `keepfresh check` prints the drop-in' failed
drop_in check </root/drop-in
prove 'with it, a file has the group that it is for' eventually is 'keepfresh:etl 640' owner_and_mode $TOKEN
prove 'one elsewhere has its owner' eventually is 'etl:keepfresh 600' owner_and_mode /srv/etl/token
number() { stat -c '%i %z' /srv/etl/token; }
written=$(number)
systemctl restart keepfresh.service
prove 'a restart is over once the files are as they should be' good crm
prove 'and writes no file again, not even one that it may not read' is "$written" number
prove 'one in a home directory is there' eventually is 'keepfresh:etl 640' owner_and_mode /home/etl/token
prove 'the owner reads it' as etl cat /srv/etl/token
prove 'who is in the group by the way reads the file' as job cat $TOKEN
prove 'and asks the socket' as job keepfresh token crm
prove 'a stranger does not read the file' fails as stranger cat $TOKEN
prove 'nor ask the socket' ends_with 77 as stranger keepfresh token crm
prove 'nor see the secrets' fails as stranger ls /etc/keepfresh/secrets
prove 'the group reads no secret either' fails as job cat /etc/keepfresh/secrets/crm-key.pem
prove 'only admins reload' ends_with 77 as job keepfresh reload
prove 'a restart made no login' is "$logins_before" logins
