# A reload is over when systemctl returns, and fails where it should.

sed -n '/^\[sessions\.crm\]/,/^private_key/p' /etc/keepfresh/config.toml | sed 's/sessions\.crm/sessions.erp/' >/etc/keepfresh/conf.d/erp.toml
prove 'a reload with a new session succeeds' systemctl reload keepfresh.service
prove 'and the session is there when it returns' keepfresh status erp
prove 'its token comes' keepfresh wait erp
echo 'nonsense = 1' >/etc/keepfresh/conf.d/bad.toml
prove 'a reload with a broken config fails' fails systemctl reload keepfresh.service
prove 'the journal names file and line' shows 'bad.toml:1' journalctl -u keepfresh.service
prove 'the daemon goes on as before' good crm erp
rm /etc/keepfresh/conf.d/bad.toml /etc/keepfresh/conf.d/erp.toml
prove 'a reload takes a session away' systemctl reload keepfresh.service
prove 'with its file' eventually fails test -e /run/keepfresh/tokens/erp
before=$(property MainPID)
kill -HUP "$before"
prove 'SIGHUP reloads too' eventually shows 'EVENT=reloaded' journalctl -u keepfresh.service -o export --since -5s
prove 'all that in one process' is "$before" property MainPID
prove 'two logins in all' is 2 logins
