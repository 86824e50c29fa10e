# fill.sh SOCKET_DIRECTORY IDLE_SECONDS: a Zabbix database with its users and nothing to watch.
set -eu
sql=$(dirname "$0")/packages/usr/share/zabbix-server-pgsql
run() { psql -q -v ON_ERROR_STOP=1 -h "$socket" -U zabbix "$1" >/dev/null; }
socket=$1
# The socket is there a moment before the server answers on it.
for _ in $(seq 100); do
  psql -q -h "$socket" -U zabbix -c 'select 1' postgres >/dev/null 2>&1 && break
  sleep 0.1
done
echo 'create database zabbix' | run postgres
zcat "$sql/schema.sql.gz" | run zabbix
zcat "$sql/data.sql.gz" | grep -E '^INSERT INTO (role|role_rule|users|usrgrp|users_groups|hstgrp|config) ' | run zabbix
echo "update users set autologin = 0, autologout = '$2s' where username = 'Admin'" | run zabbix
