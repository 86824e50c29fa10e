# A package on a machine that has never seen it.

prove 'the deb installs' dpkg -i "$deb"
prove 'the service runs' systemctl is-active keepfresh.service
prove 'it starts with the machine' systemctl is-enabled keepfresh.service
prove 'it runs as its own user' is keepfresh ps -o user:20= -p "$(property MainPID)"
prove 'the config can be read by everybody' is 'root:root 644' owner_and_mode /etc/keepfresh/config.toml
prove 'secrets are for the daemon alone' is 'keepfresh:keepfresh 700' owner_and_mode /etc/keepfresh/secrets
prove 'the state is for the daemon alone' is 'keepfresh:keepfresh 700' owner_and_mode /var/lib/keepfresh
prove 'everybody may connect' is 'keepfresh:keepfresh 666' owner_and_mode /run/keepfresh/keepfresh.sock
prove 'the man pages are there' test -s /usr/share/man/man1/keepfresh-wait.1.gz -a -s /usr/share/man/man5/keepfresh.5.gz
completes_in() { # SHELL
    case $1 in
    bash) bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader keepfresh; complete -p keepfresh' ;;
    zsh) zsh -fc 'autoload -Uz compinit; compinit -u -d /root/.zcompdump; [[ $_comps[keepfresh] = _keepfresh ]] && echo keepfresh' ;;
    fish) fish -c 'complete -C "keepfresh stat"' ;;
    esac
}
for shell in bash zsh fish; do
    prove "$shell completes keepfresh" shows 'keepfresh|status' completes_in $shell
done
prove 'no unit has anything that systemd does not know' is '' systemd-analyze verify --man=no \
    keepfresh.service keepfresh.socket keepfresh-wait@crm.service
owners_it_may_change() { property SystemCallFilter | tr ' ' '\n' | grep chown | sort | paste -sd ' '; }
prove 'of owners it may change only those of files that it has open' is 'fchown fchown32' owners_it_may_change
prove 'it reaches no device but the harmless ones' is closed property DevicePolicy
prove 'its tasks have an end' is 1024 property TasksMax
prove 'its memory has an end' is 4294967296 property MemoryMax
prove 'the shipped config is good' keepfresh check
