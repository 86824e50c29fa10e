# A session by `keepfresh add`, as root on the packaged service: what it writes is the service's to read.

logins_before=$(logins)
client_secret=$(cat /root/drill/client-secret)
client_id=$(sed -n 's/^client_id = "\(.*\)"/\1/p' /root/drill/config.toml)
adds() {
    keepfresh add billing --provider salesforce --url $SANDBOX --grant client_credentials \
        --set "client_id=$client_id" --secret-file client_secret=/root/drill/client-secret "$@"
}
(umask 077 && adds >/root/added 2>&1) || cat /root/added
prove 'keepfresh add ends with a session that is alive' grep -q 'billing is alive' /root/added
prove 'its config is for everybody to read' is 'root:root 644' owner_and_mode /etc/keepfresh/conf.d/billing.toml
prove 'so is the directory of it' is 'root:root 755' owner_and_mode /etc/keepfresh/conf.d
secret=$(sed -n 's/.*file = "\(.*secrets.*\)".*/\1/p' /etc/keepfresh/conf.d/billing.toml)
prove 'its secret is for the service alone' is 'keepfresh:root 400' owner_and_mode "$secret"
prove 'and is the one that was given' is "$client_secret" cat "$secret"
prove 'the secret is not in what was said' fails grep -q "$client_secret" /root/added
prove 'the check is good' keepfresh check
prove 'also as the service' as keepfresh keepfresh check
prove 'the session is good' good billing
prove 'jobs find its token' is "$(keepfresh token billing)" cat /run/keepfresh/tokens/billing
prove 'that was one login' is $((logins_before + 1)) logins
before=$(cat /etc/keepfresh/conf.d/billing.toml "$secret")
prove 'the same name is not added again' ends_with 1 adds
prove 'and nothing of it is overwritten' is "$before" cat /etc/keepfresh/conf.d/billing.toml "$secret"
prove 'a restart reads all of it' systemctl restart keepfresh.service
prove 'and the session is good' keepfresh wait billing
prove 'one with a key of its own begins with the steps at the server' shows 'keepfresh wait erp' \
    keepfresh add erp --provider salesforce --url $SANDBOX --grant jwt_bearer --set client_id=none --set username=erp@sandbox.example
prove 'the key is for the service alone' is 'keepfresh:root 400' owner_and_mode /etc/keepfresh/secrets/erp-private-key.pem
prove 'the certificate is for everybody' is 'root:root 644' owner_and_mode /etc/keepfresh/erp-certificate.pem
rm -f /etc/keepfresh/conf.d/billing.toml /etc/keepfresh/conf.d/erp.toml "$secret" /etc/keepfresh/secrets/erp-* /etc/keepfresh/erp-*
prove 'a session goes with its file' systemctl reload keepfresh.service
prove 'and its token' eventually fails test -e /run/keepfresh/tokens/billing
# Of the hour's budget of logins nothing is left to the proofs that follow: a new hour begins.
systemctl stop keepfresh.service
rm -f /var/lib/keepfresh/accounts/*
systemctl start keepfresh.service
