# A newer package: one restart, and nothing is lost.

before=$(property MainPID)
logins_before=$(logins)
sum=$(sha256sum /etc/keepfresh/config.toml)
follow_token
prove 'a newer deb installs without a question' dpkg -i "$newer"
prove 'it is the newer one' shows "$(dpkg-deb -f "$newer" Version)" dpkg-query -W keepfresh
prove 'the daemon is another process' fails test "$before" = "$(property MainPID)"
prove 'the session is good' keepfresh wait crm
prove 'the config is as it was' is "$sum" sha256sum /etc/keepfresh/config.toml
prove 'the token file was there all the time' stays_in_place
prove 'no login was made' is "$logins_before" logins
