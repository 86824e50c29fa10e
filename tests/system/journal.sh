# What an operator finds in the journal: fields, numbers, explanations.

prove 'entries have the session as a field' shows '^SESSION=crm' journalctl -u keepfresh.service EVENT=logged_in -o export
prove 'and the number of their event' shows '^MESSAGE_ID=[0-9a-f]{32}' journalctl -u keepfresh.service EVENT=logged_in -o export
sandbox outage '{"kind": "refuse", "seconds": 3}'
prove 'a verify during an outage fails' fails keepfresh verify crm
prove 'and one after it does not' eventually keepfresh verify crm
prove 'the catalogue explains an event' shows 'Subject: ' journalctl -u keepfresh.service EVENT=ready -x
queries=0
while read -r query; do
    prove "docs/operations.md: $query" bash -c "$query"
    queries=$((queries + 1))
done < <(sed -n '/^journalctl/p' /root/proofs/operations.md | sed 's/ *#.*//' | grep -v -e ' -f ' -e '| jq')
prove 'there are queries in docs/operations.md' test $queries -gt 5
prove 'no token is in the journal' fails grep -q -F -f $TOKEN <(journalctl -o export)
