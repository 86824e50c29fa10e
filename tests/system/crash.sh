# Deaths of the daemon cost no login, and nobody misses the file.

restarts=$(property NRestarts)
logins_before=$(logins)
follow_token
kill -KILL "$(property MainPID)"
prove 'a killed daemon is started again' eventually is $((restarts + 1)) property NRestarts
prove 'and is ready' eventually good crm
drop_in watchdog <<'END'
[Service]
WatchdogSec=2
END
stuck=$(property MainPID)
kill -STOP "$stuck"
prove 'one that stands still is killed by the watchdog' eventually shows 'Watchdog timeout' journalctl -u keepfresh.service -b --since -20s
prove 'and started again' eventually good crm
prove 'as another process' fails test "$stuck" = "$(property MainPID)"
prove 'it feeds the watchdog' sleep 5
prove 'and so lives on' is 1 property NRestarts
prove 'the token file was there all the time' stays_in_place
prove 'no restart made a login' is "$logins_before" logins
rm /etc/systemd/system/keepfresh.service.d/watchdog.conf
systemctl daemon-reload

cp /etc/keepfresh/config.toml /root/config.toml
echo 'nonsense = 1' >>/etc/keepfresh/config.toml
prove 'a broken config stops the start' fails systemctl restart keepfresh.service
prove 'with exit code 78' is 78 property ExecMainStatus
sleep 4
prove 'and nothing tries again' is failed property ActiveState
prove 'the tokens stay' test -s $TOKEN
cp /root/config.toml /etc/keepfresh/config.toml
prove 'mended, it starts' systemctl start keepfresh.service
prove 'without a login' is "$logins_before" logins
