# A reload is over when systemctl returns, and fails where it should.

logins_before=$(logins)
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
prove 'one login in all' is $((logins_before + 1)) logins

if [ "$(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')" -ge 253 ]; then
    drop_in notify-reload </usr/share/doc/keepfresh/examples/notify-reload.conf
    prove 'with notify-reload, a reload succeeds' systemctl reload keepfresh.service
    prove 'the session is good' good crm
    echo 'nonsense = 1' >/etc/keepfresh/conf.d/bad.toml
    prove 'a broken config is refused' fails systemctl reload keepfresh.service
    prove 'and changes nothing' good crm
    rm /etc/keepfresh/conf.d/bad.toml /etc/systemd/system/keepfresh.service.d/notify-reload.conf
    systemctl daemon-reload
    systemctl restart keepfresh.service
else
    echo 'not here: notify-reload, which this systemd does not have (SUITE=trixie make test-system)'
fi
