# What `make install` puts below /usr/local, on a machine without a package.

rm -rf /etc/keepfresh /var/lib/keepfresh
userdel keepfresh
cp -r /root/local/. /
hash -r
install_docs=/usr/local/share/doc/keepfresh/install.md
while read -r command; do
    prove "docs/install.md: $command" bash -c "$command"
done < <(sed -n '/^After `make install`/,/^`/s/^# //p' $install_docs)
prove 'the service runs' systemctl is-active keepfresh.service
prove 'from there' is /usr/local/bin/keepfresh readlink "/proc/$(property MainPID)/exe"
prove 'a reload works' systemctl reload keepfresh.service
prove 'so does the example for notify-reload' grep -q '^ExecReload=/usr/local/bin/keepfresh' \
    /usr/local/share/doc/keepfresh/examples/notify-reload.conf
prove 'bash completes keepfresh' shows keepfresh completes_in bash
prove 'the catalogue knows its events' shows ' keepfresh: ' journalctl --list-catalog
systemctl disable --now keepfresh.service
