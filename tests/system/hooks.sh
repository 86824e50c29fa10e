# What the programs of hooks may do under the unit, as docs/install.md says.

touch /home/somebody
cat >/usr/local/bin/notify <<'END'
#!/bin/sh
can() { what=$1; shift; if "$@" >/dev/null 2>&1; then echo "can $what"; else echo "cannot $what"; fi; }
{
    echo "$KEEPFRESH_SESSION $KEEPFRESH_EVENT as $(id -un)"
    can call curl -sS http://127.0.0.1:8089/sandbox
    can 'use a temporary file' sh -c 'echo x >/tmp/hook-was-here'
    can 'keep a file in the state directory' sh -c 'echo x >/var/lib/keepfresh/hook'
    can 'write elsewhere' sh -c 'echo x >/srv/hooks/hook'
    can 'write to the journal' logger 'the hook was here'
    can 'read the token' sh -c '[ "$(keepfresh token crm)" = "$(cat /run/keepfresh/tokens/crm)" ]'
    can 'reload another service' systemctl try-reload-or-restart dbus.service
    can 'become another user' su -s /bin/sh -c true root
    can 'see the homes' test -e /home/somebody
    can 'give files away' sh -c 'echo x >/run/keepfresh/given; chown root /run/keepfresh/given'
    can 'trace the daemon' cat "/proc/$PPID/environ"
} >/run/keepfresh/hook.new
mv /run/keepfresh/hook.new /run/keepfresh/hook
END
chmod 0755 /usr/local/bin/notify
install -d -o keepfresh /srv/hooks
cp /etc/keepfresh/config.toml /root/before-hooks.toml
printf '\n[[sessions.crm.hook]]\non = ["change"]\ncommand = ["/usr/local/bin/notify"]\n' >>/etc/keepfresh/config.toml
systemctl reload keepfresh.service
keepfresh login crm
prove 'a hook runs under the unit, as its user' eventually shows '^crm change as keepfresh$' cat /run/keepfresh/hook
for can in call 'use a temporary file' 'keep a file in the state directory' 'write to the journal' 'read the token'; do
    prove "it can $can" grep -qx "can $can" /run/keepfresh/hook
done
for cannot in 'write elsewhere' 'reload another service' 'become another user' 'see the homes' 'give files away' 'trace the daemon'; do
    prove "it cannot $cannot" grep -qx "cannot $cannot" /run/keepfresh/hook
done
prove 'its temporary files are the service'"'"'s alone' fails test -e /tmp/hook-was-here
printf '[Service]\nReadWritePaths=/srv/hooks\n' | drop_in hooks
rm /run/keepfresh/hook
keepfresh login crm
prove 'a drop-in gives it more' eventually grep -qx 'can write elsewhere' /run/keepfresh/hook
rm /etc/systemd/system/keepfresh.service.d/hooks.conf /var/lib/keepfresh/hook /run/keepfresh/given /home/somebody
cp /root/before-hooks.toml /etc/keepfresh/config.toml
systemctl daemon-reload
systemctl restart keepfresh.service
