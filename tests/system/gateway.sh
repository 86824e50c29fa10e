# A job that holds no token, by the gateway of a session of the service, as another user than the daemon's.

logins_before=$(logins)
limits=/services/data/v62.0/limits
socket=/run/keepfresh/gateway/crm.sock
printf '[sessions.crm.gateway]\nlisten = "127.0.0.1:8701"\n' >>/etc/keepfresh/config.toml
prove 'a reload opens a gateway' systemctl reload keepfresh.service
prove 'its socket is there for every user to knock at' eventually is 'keepfresh:keepfresh 666' owner_and_mode $socket
prove 'a call through it has the token' shows DailyApiRequests curl -sS --unix-socket $socket http://crm$limits
prove 'and so has one to its port, whose caller the kernel names' shows DailyApiRequests curl -sS http://127.0.0.1:8701$limits
prove 'a user who may not read the session gets a 403' is 403 as stranger \
    curl -sS -o /dev/null -w '%{http_code}' --unix-socket $socket http://crm$limits
prove 'on the port too' is 403 as stranger curl -sS -o /dev/null -w '%{http_code}' http://127.0.0.1:8701$limits
sandbox revoke '{"what": "access"}'
prove 'a call that meets a dead session does not notice' shows DailyApiRequests curl -sS --unix-socket $socket http://crm$limits
prove 'a command gets a port of its own' shows DailyApiRequests \
    keepfresh exec --gateway crm -- sh -c "curl -sS \$CRM_URL$limits"
systemctl restart keepfresh.service
prove 'after a restart the gateway is open again' eventually shows DailyApiRequests curl -sS --unix-socket $socket http://crm$limits
sed -i '/^\[sessions\.crm\.gateway\]/,+1d' /etc/keepfresh/config.toml
prove 'a reload closes it' systemctl reload keepfresh.service
prove 'with its socket' eventually fails test -e $socket
prove 'all that cost one login more' is $((logins_before + 1)) logins
