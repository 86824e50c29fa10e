# What the README prints, on the packaged service: its config, its commands and its job, as they are printed but for the server's
# address and who logs in there.

readme=$here/README.md
# fenced LANGUAGE WORD: the first block of that language in which the word is.
fenced() {
    awk -v language="$1" -v word="$2" '
        /^```/ { if (found) exit; inside = $0 == "```" language; text = ""; next }
        inside { text = text $0 "\n"; if (index($0, word)) found = 1 }
        END { if (found) printf "%s", text }' "$readme"
}
cp /etc/keepfresh/config.toml /root/config-before
value_of() { sed -n "s/^$1 = \"\(.*\)\"/\1/p" /root/config-before; }
groupadd etl
useradd --user-group --groups etl job
fenced toml sessions.crm |
    sed -e "s|https://acme.my.salesforce.com|$SANDBOX|" -e "s|3MVG9example|$(value_of client_id)|" \
        -e "s|^username .*|username = \"$(value_of username)\"\naudience = \"$SANDBOX\"|" >/etc/keepfresh/config.toml
prove 'the README has a config' grep -q '^group = "etl"' /etc/keepfresh/config.toml

the_end_of_check() { keepfresh check | sed -n '/^still to do:$/,$p'; }
prove 'check ends with the commands that remain' is 'still to do:
  keepfresh check --drop-in
  systemctl daemon-reload
  systemctl restart keepfresh' the_end_of_check
ran=0
while read -r command; do
    prove "README: $command" bash -c "$command"
    ran=$((ran + 1))
    case $ran in
    1) prove 'check knows that the drop-in is written, and what then remains' is 'still to do:
  systemctl daemon-reload
  systemctl restart keepfresh' the_end_of_check ;;
    2) prove 'and that systemd has read it' is 'still to do:
  systemctl restart keepfresh' the_end_of_check ;;
    esac
done < <(fenced console 'keepfresh wait crm' | sed -n 's/^# \([^#]*\).*/\1/p')
prove 'those were five commands' [ $ran = 5 ]
prove 'once the drop-in is in force, check says nothing of it' \
    shows_no 'drop-in|still to do|SupplementaryGroups' keepfresh check
prove 'nor in JSON' is 0 sh -c 'keepfresh check --json | jq ".still_to_do | length"'
prove 'the file is for the group' is 'keepfresh:etl 640' owner_and_mode $TOKEN
fenced sh 'usage: crm-get' | sed "s|https://acme.my.salesforce.com|$SANDBOX|" | install -m 0755 /dev/stdin /usr/local/bin/crm-get
job=$(fenced sh '* * * *' | sed -e 's/^[^a-z]*//' -e "s|https://acme.my.salesforce.com|$SANDBOX|")
prove 'the job of one line gets an answer' shows '\{' as job sh -c "$job"
prove 'so does the better job' shows '\{' as job /usr/local/bin/crm-get /services/data/v62.0/limits
sandbox revoke '{"what": "access"}'
prove 'also after the server has ended the session' shows '\{' as job /usr/local/bin/crm-get /services/data/v62.0/limits
prove 'the file is for the group again' is 'keepfresh:etl 640' owner_and_mode $TOKEN

examined() { keepfresh doctor 2>&1 | tee /root/examined; }
names_no_secret() { ! grep -F -e "$(cat $TOKEN)" -e 'PRIVATE KEY' -e "$(sed -n 2p /root/drill/private-key.pem)" /root/examined; }
prove 'doctor finds nothing wrong with the service' shows 'nothing is wrong' examined
prove 'and shows no secret' names_no_secret
systemctl stop keepfresh.service
prove 'of a service that was stopped it says so' shows 'the daemon is not running: the service is stopped' examined
prove 'and what starts it' grep -q 'systemctl enable --now keepfresh' /root/examined
prove 'still without a secret' names_no_secret
systemctl start keepfresh.service
prove 'that helps' shows 'nothing is wrong' examined

drop_in_file=/etc/systemd/system/keepfresh.service.d/keepfresh-check.conf
echo '# mine' >>$drop_in_file
before=$(cat $drop_in_file)
sed -i 's/^group .*/group = "job"/' /etc/keepfresh/config.toml
prove 'what a person has changed is not overwritten' ends_with 1 keepfresh check --drop-in
prove 'not a byte of it' is "$before" cat $drop_in_file
sed -i '/^# mine$/d' $drop_in_file
prove 'what nobody has changed is' shows 'wrote .*keepfresh-check.conf' keepfresh check --drop-in
prove 'for the new config' grep -q '^SupplementaryGroups=job$' $drop_in_file

cp /root/config-before /etc/keepfresh/config.toml
prove 'for a config that needs none, it is removed' shows 'removed .*keepfresh-check.conf' keepfresh check --drop-in
prove 'it is gone' fails test -e $drop_in_file
systemctl daemon-reload
systemctl restart keepfresh.service
prove 'then nothing is left to do' shows_no 'still to do' keepfresh check
prove 'without the group the service has its own again' eventually is 'keepfresh:keepfresh 640' owner_and_mode $TOKEN

install -d -o keepfresh /srv/readme /home/readme
cat >>/etc/keepfresh/config.toml <<'END'
[[sessions.crm.publish]]
file = "/srv/readme/token"
owner = "job"
[[sessions.crm.publish]]
file = "/home/readme/token"
END
prove 'directories and owners need one too' shows 'wrote' keepfresh check --drop-in
systemctl daemon-reload && systemctl restart keepfresh.service
prove 'with it the files are there' test -s /srv/readme/token -a -s /home/readme/token
prove 'and check is silent' shows_no 'drop-in|still to do|Paths=' keepfresh check
cp /root/config-before /etc/keepfresh/config.toml
keepfresh check --drop-in >/dev/null
systemctl daemon-reload
systemctl restart keepfresh.service
rm -r /srv/readme /home/readme
userdel job
groupdel etl
prove 'the session is as it was' good crm
