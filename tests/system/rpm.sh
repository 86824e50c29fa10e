# The rpm, on the same machine, whose own packages its database does not know (--nodeps).

userdel keepfresh
# An operator's own drop-ins outlive a purge, and name credentials that it took away.
rm -r /etc/systemd/system/keepfresh.service.d
systemctl daemon-reload
rpm --initdb
prove 'the rpm installs' rpm --install --nodeps "$rpm"
prove 'its user is there' id keepfresh
prove 'secrets are for the daemon alone' is 'keepfresh:keepfresh 700' owner_and_mode /etc/keepfresh/secrets
prove 'the distribution'"'"'s presets decide whether it starts with the machine' is enabled systemctl is-enabled keepfresh.service
prove 'it does not start by itself' is inactive systemctl is-active keepfresh.service
prove 'the catalogue knows its events' shows ' keepfresh: ' journalctl --list-catalog
prove 'the man pages are there' test -s /usr/share/man/man1/keepfresh-wait.1.gz
# Debian's zsh does not look where those of rpm's distributions do.
prove 'the completions of zsh are there' test -s /usr/share/zsh/site-functions/_keepfresh
for shell in bash fish; do
    prove "$shell completes keepfresh" shows 'keepfresh|status' completes_in $shell
done
install -o keepfresh -g keepfresh -m 0400 /root/drill/private-key.pem /etc/keepfresh/secrets/crm-key.pem
sed -e '1,/^$/d' -e 's/sessions\.demo/sessions.crm/' -e 's|"private-key.pem"|"/etc/keepfresh/secrets/crm-key.pem"|' \
    /root/drill/config.toml >/etc/keepfresh/config.toml
sum=$(sha256sum /etc/keepfresh/config.toml)
prove 'it starts' systemctl start keepfresh.service
prove 'the session is good' keepfresh wait crm
before=$(property MainPID) logins_before=$(logins)
follow_token
prove 'a newer rpm installs' rpm --upgrade --nodeps "$newer_rpm"
prove 'the daemon is another process' eventually fails test "$before" = "$(property MainPID)"
prove 'the session is good' eventually good crm
prove 'the config is as it was' is "$sum" sha256sum /etc/keepfresh/config.toml
prove 'the token file was there all the time' stays_in_place
prove 'no login was made' is "$logins_before" logins
prove 'every other file is as it was packed' is 'S.5....T.  c /etc/keepfresh/config.toml' rpm --verify --nodeps keepfresh
prove 'the rpm can be erased' rpm --erase keepfresh
prove 'the daemon is gone' fails pgrep -u keepfresh
prove 'and the tokens' fails test -e /run/keepfresh
prove 'the config stays, as rpm does it' test -s /etc/keepfresh/config.toml.rpmsave
prove 'the secrets stay' test -s /etc/keepfresh/secrets/crm-key.pem
prove 'the state stays' test -d /var/lib/keepfresh/sessions
prove 'no unit is left' fails systemctl cat keepfresh.service
