# One file is edited, and there is a token.

systemd-run -q --unit=sandbox --property=StandardOutput=null keepfresh sandbox --listen 127.0.0.1:8089 --idle-timeout 10m --write-config /root/drill
eventually test -s /root/drill/config.toml
install -o keepfresh -g keepfresh -m 0400 /root/drill/private-key.pem /etc/keepfresh/secrets/crm-key.pem
sed -e '1,/^$/d' -e 's/sessions\.demo/sessions.crm/' -e 's|"private-key.pem"|"/etc/keepfresh/secrets/crm-key.pem"|' \
    /root/drill/config.toml >/etc/keepfresh/config.toml

prove 'the config is good' keepfresh check
prove 'a reload takes it over' systemctl reload keepfresh.service
prove 'the token is good' keepfresh wait crm
prove 'its file is for the group keepfresh to read' is 'keepfresh:keepfresh 640' owner_and_mode $TOKEN
prove 'it holds the token' is "$(keepfresh token crm)" cat $TOKEN
sleep 2
prove 'systemctl status says how things are' shows '1 of 1 sessions good' systemctl status keepfresh.service
prove 'there was one login' is 1 logins
