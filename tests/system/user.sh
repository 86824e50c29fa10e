# A daemon of somebody who is not root.

useradd --create-home alice
prove "alice's systemd starts" systemctl start "user@$(id -u alice).service"
alice() { as alice env HOME=/home/alice XDG_RUNTIME_DIR="/run/user/$(id -u alice)" "$@"; }
alice mkdir -p /home/alice/.config/keepfresh
sed -e '/^\[\[/,$d' -e 's/sessions\.crm/sessions.mine/' -e 's|^private_key = .*|private_key = { file = "key.pem" }|' \
    /etc/keepfresh/config.toml | as alice tee /home/alice/.config/keepfresh/config.toml >/dev/null
install -o alice -m 0400 /root/drill/private-key.pem /home/alice/.config/keepfresh/key.pem
prove 'her service starts' alice systemctl --user start keepfresh.service
socket=/run/user/$(id -u alice)/keepfresh/keepfresh.sock
prove 'her token is good' alice keepfresh --socket "$socket" wait mine
prove 'its file is hers' is 'alice:alice 640' owner_and_mode "/run/user/$(id -u alice)/keepfresh/tokens/mine"
prove 'her state is hers' is 'alice:alice 700' owner_and_mode /home/alice/.local/state/keepfresh
prove 'a reload waits for her too' alice systemctl --user reload keepfresh.service
prove 'her service stops' alice systemctl --user stop keepfresh.service
systemctl stop "user@$(id -u alice).service"
