# Removed, then purged.

cp /usr/bin/keepfresh /root/keepfresh
prove 'the package can be removed' dpkg -r keepfresh
prove 'the daemon is gone' fails pgrep -u keepfresh
prove 'and the tokens' fails test -e /run/keepfresh
prove 'the config stays' test -e /etc/keepfresh/config.toml
prove 'the state stays' test -d /var/lib/keepfresh/sessions
prove 'installed again, it goes on' dpkg -i "$deb"
prove 'with the session that it had' keepfresh wait crm
prove 'and no login' is "$logins_before" logins
prove 'the package can be purged' dpkg -P keepfresh
for path in /etc/keepfresh /var/lib/keepfresh /run/keepfresh /usr/share/doc/keepfresh; do
    prove "$path is gone" fails test -e $path
done
prove 'no unit is left' fails systemctl cat keepfresh.service
