# Units that need a token, or want to know of a new one; and the socket that systemd keeps.

# The proofs before have used up the hour's budget of logins: a new hour begins.
systemctl stop keepfresh.service
rm -f /var/lib/keepfresh/accounts/*
systemctl start keepfresh.service
logins_before=$(logins)
examples=/usr/share/doc/keepfresh/examples
cp $examples/job.service $examples/token-changed.path $examples/token-changed.service /etc/systemd/system
printf '#!/bin/sh\ncp "$1" /tmp/exported\n' | install -m 0755 /dev/stdin /usr/local/bin/nightly-export
printf '[Service]\nExecStart=/bin/sleep infinity\nExecReload=/bin/touch /tmp/app-reloaded\n' >/etc/systemd/system/my-app.service
systemctl daemon-reload
systemctl start my-app.service token-changed.path
prove 'a job that requires a good token runs' systemctl start job.service
prove 'and reads it' cmp /tmp/exported $TOKEN
sandbox outage '{"kind": "refuse", "seconds": 5, "to": "token"}'
sandbox revoke '{"what": "access"}'
keepfresh rejected crm --token-stdin --wait 1s <$TOKEN
prove 'a dead token is withdrawn' eventually fails test -e $TOKEN
rm -f /tmp/exported /tmp/app-reloaded
prove 'a job begins only once there is a good one' systemctl start job.service
prove 'and reads that' cmp /tmp/exported $TOKEN
prove 'a service takes over the new token' eventually test -e /tmp/app-reloaded
systemctl stop token-changed.path

systemctl stop keepfresh.service
prove 'the token outlives the daemon' test -s $TOKEN
prove 'the socket unit starts' systemctl start keepfresh.socket
prove 'the socket has its owner and mode' is 'keepfresh:keepfresh 666' owner_and_mode /run/keepfresh/keepfresh.sock
prove 'a call starts the daemon' is "$(cat $TOKEN)" keepfresh token crm
prove 'a restart keeps the socket' systemctl restart keepfresh.service
prove 'where systemd listens' systemctl is-active keepfresh.socket
prove 'the daemon answers there' keepfresh wait crm
systemctl stop keepfresh.socket keepfresh.service
prove 'without the socket unit the daemon binds it' systemctl start keepfresh.service
prove 'and answers' keepfresh wait crm
prove 'all that made one login' is $((logins_before + 1)) logins
