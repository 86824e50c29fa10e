# Secrets that only root and systemd read.

logins_before=$(logins)
install -m 0600 /root/drill/private-key.pem /etc/keepfresh/crm-key.pem
sed -i 's|^private_key = .*|private_key = { credential = "crm-key" }|' /etc/keepfresh/config.toml
cat >/etc/keepfresh/conf.d/pw.toml <<END
[sessions.pw]
provider = "salesforce"
url = "$SANDBOX"
idle_timeout = "10m"
[sessions.pw.login]
grant = "password"
$(grep '^client_id' /root/drill/config.toml)
client_secret = { credential = "client-secret" }
username = "integration@sandbox.example"
password = { credential = "crm-password" }
security_token = { credential = "security-token" }
END
prove 'a password is sealed for this machine' systemd-creds encrypt --name=crm-password /root/drill/password /etc/keepfresh/crm-password.cred
rm /etc/keepfresh/secrets/crm-key.pem
{
    cat /usr/share/doc/keepfresh/examples/credentials.conf
    echo LoadCredential=client-secret:/root/drill/client-secret
    echo LoadCredential=security-token:/root/drill/security-token
} | drop_in credentials
prove 'a login by a sealed credential' keepfresh wait pw
prove 'and one by a plain one' keepfresh login crm
prove 'the files belong to root alone' is 'root:root 600' owner_and_mode /etc/keepfresh/crm-key.pem
prove 'each made one login' is $((logins_before + 2)) logins
rm /etc/keepfresh/conf.d/pw.toml
systemctl reload keepfresh.service
