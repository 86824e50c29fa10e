# What an operator finds in the journal: fields, numbers, explanations.

prove 'entries have the session as a field' shows '^SESSION=crm' journalctl -u keepfresh.service EVENT=logged_in -o export
prove 'and the number of their event' shows '^MESSAGE_ID=[0-9a-f]{32}' journalctl -u keepfresh.service EVENT=logged_in -o export
sandbox outage '{"kind": "refuse", "seconds": 3}'
prove 'a verify during an outage fails' fails keepfresh verify crm
prove 'and one after it does not' eventually keepfresh verify crm
prove 'the catalogue explains an event' shows 'Subject: ' journalctl -u keepfresh.service EVENT=ready -x

# What the queries of the docs look for has to happen first.
sandbox answer '{"to": "ping", "times": 1, "status": 200, "body": "{\"sobjects\": \"/\"}", "headers": {"Sforce-Limit-Info": "api-usage=14900/15000"}}'
prove 'the server tells that its allowance is nearly used up' keepfresh verify crm
sandbox settings '{"login_refusal": "ip_restricted"}'
sandbox revoke '{"what": "access"}'
prove 'a login that the server refuses needs a person' ends_with 79 keepfresh rejected crm --token-stdin --wait 20s <$TOKEN
prove 'systemctl status names the session and the reason' eventually shows 'a person is needed for crm: ' systemctl status keepfresh.service
sandbox settings '{"login_refusal": null}'
prove 'the person helps' keepfresh login crm
finds() {
    local found
    found=$(timeout 2 bash -c "$1" 2>&1) || [ $? -eq 124 ] || { printf '%s\n' "$found"; return 1; }
    [ -n "$found" ] && ! grep -q -- '-- No entries --' <<<"$found" || { echo 'nothing was found'; return 1; }
}
queries=0
while read -r query; do
    prove "docs/operations.md: $query" finds "$query"
    queries=$((queries + 1))
done < <(sed -n '/^journalctl/p' /root/proofs/operations.md | sed 's/ *#.*//')
prove 'there are queries in docs/operations.md' test $queries -gt 8
prove 'a query for what never happened finds nothing' fails finds 'journalctl -u keepfresh EVENT=no_such_event'
prove 'the catalogue explains what a person must do' shows '^.. To do: ' journalctl -u keepfresh.service EVENT=needs_attention -x
prove 'no token is in the journal' fails grep -q -F -f $TOKEN <(journalctl -o export)
