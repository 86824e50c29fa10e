//! What befalls the machine: faults, orders, reloads and ends, at moments that the seed draws.

use std::time::Duration;

use jiff::SignedDuration;

use super::menu::{self, host_of};
use super::servers::Trouble;
use super::world::{Event, Health, World};
use crate::schedule::Duty;
use crate::session::view::Phase;
use crate::supervisor::Incoming;

/// One thing that befalls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// A server fails in some way.
    Trouble,
    /// A server that failed is well again.
    Relief,
    /// An admin ends all sessions at a server.
    Revocation,
    /// Somebody changes a password at the server, or corrects the secret.
    Password,
    StateDisk,
    TokenDisk,
    /// Somebody removes a token file.
    LostFile,
    /// The config is changed, or broken, and read again.
    Reload,
    Stop,
    Kill,
    /// The wall clock jumps, or the machine stands still.
    Jump,
    /// A duty of a calendar falls due.
    Duty,
    /// Readers and admins ask something.
    Ask,
}

/// How often each comes, on average.
const MEANS: [(Happening, Duration); 12] = [
    (Happening::Trouble, Duration::from_mins(9)),
    (Happening::Revocation, Duration::from_mins(14)),
    (Happening::Password, Duration::from_mins(40)),
    (Happening::StateDisk, Duration::from_mins(20)),
    (Happening::TokenDisk, Duration::from_mins(20)),
    (Happening::LostFile, Duration::from_mins(25)),
    (Happening::Reload, Duration::from_mins(8)),
    (Happening::Stop, Duration::from_mins(45)),
    (Happening::Kill, Duration::from_mins(18)),
    (Happening::Jump, Duration::from_mins(50)),
    (Happening::Duty, Duration::from_mins(15)),
    (Happening::Ask, Duration::from_mins(1)),
];

impl World {
    /// Plans what may befall this machine: of each kind in two worlds of three.
    pub(super) fn plan_mishaps(&mut self) {
        for (happening, mean) in MEANS {
            let may = happening == Happening::Ask || !self.chance(3);
            if may {
                self.plan_next(happening, mean);
            }
        }
    }

    fn plan_next(&mut self, happening: Happening, mean: Duration) {
        let wait = self.seed.between(Duration::ZERO, mean * 2);
        self.plan(wait, Event::Happens(happening));
    }

    pub(super) fn happens(&mut self, happening: Happening) {
        if self.is_quiet {
            return;
        }
        match happening {
            Happening::Trouble => self.trouble(),
            Happening::Relief => {
                for server in self.servers.values_mut() {
                    server.trouble = Trouble::None;
                }
            }
            Happening::Revocation => {
                self.mark("a server revoked its sessions");
                if let Some(host) = self.some_host()
                    && let Some(server) = self.servers.get_mut(&host)
                {
                    server.revoke_sessions();
                }
            }
            Happening::Password => self.password(),
            Happening::StateDisk => {
                self.state_disk = self.some_health();
                self.state_disk_failed |= [Health::Full, Health::Hangs].contains(&self.state_disk);
            }
            Happening::TokenDisk => self.token_disk = self.some_health(),
            Happening::LostFile => {
                if let Some(path) = self.disk.paths().first() {
                    self.mark("a token file was removed by somebody");
                    self.disk.tamper(path);
                }
            }
            Happening::Stop | Happening::Kill | Happening::Reload if self.chance(2) => {
                if self.chance(2) {
                    self.at_next_login = Some(happening);
                } else {
                    self.at_next_write = Some(happening);
                }
            }
            Happening::Reload => self.change_config(),
            Happening::Stop => {
                self.stop();
                if self.chance(3) {
                    self.mark("told to stop twice");
                    self.stop();
                }
            }
            Happening::Kill => {
                let loses_power = self.chance(3);
                self.kill(loses_power);
            }
            Happening::Jump => self.jump(),
            Happening::Duty => {
                let name = self.some_name().to_owned();
                let duty = if self.chance(2) {
                    Duty::Verify
                } else {
                    Duty::Renew
                };
                self.mark("a duty fell due");
                self.handle(Incoming::Duty(name, duty));
            }
            Happening::Ask => self.ask(),
        }
        if let Some((_, mean)) = MEANS.into_iter().find(|(it, _)| *it == happening) {
            self.plan_next(happening, mean);
        }
    }

    fn trouble(&mut self) {
        let Some(host) = self.some_host() else { return };
        let kinds = [Trouble::Down, Trouble::Hangs, Trouble::Sick];
        let kind = kinds[usize::try_from(self.seed.draw() % 3).unwrap()];
        self.mark(match kind {
            Trouble::Down => "a server was down",
            Trouble::Hangs => "a server hung",
            Trouble::Sick => "a server was sick",
            Trouble::None => "a server was well",
        });
        if let Some(server) = self.servers.get_mut(&host) {
            server.trouble = kind;
        }
        let length = self
            .seed
            .between(Duration::from_secs(1), Duration::from_mins(6));
        self.plan(length, Event::Happens(Happening::Relief));
    }

    fn password(&mut self) {
        let Some(host) = self.some_host() else { return };
        self.harms.password_changed(&host);
        let Some(server) = self.servers.get_mut(&host) else {
            return;
        };
        if server.accepts {
            server.change_password();
            self.mark("a password became wrong");
        } else {
            server.correct();
            self.mark("a password was corrected");
        }
    }

    fn some_health(&mut self) -> Health {
        let kinds = [
            Health::Well,
            Health::Well,
            Health::Slow,
            Health::Full,
            Health::Hangs,
        ];
        let health = kinds[usize::try_from(self.seed.draw() % 5).unwrap()];
        self.mark(match health {
            Health::Well => "a disk was well",
            Health::Slow => "a disk was slow",
            Health::Full => "a disk was full",
            Health::Hangs => "a disk hung",
        });
        health
    }

    fn some_host(&mut self) -> Option<String> {
        let count = u64::try_from(self.servers.len()).unwrap();
        let index = usize::try_from(self.seed.draw() % count).unwrap();
        self.servers.keys().nth(index).cloned()
    }

    pub(super) fn some_name(&mut self) -> &'static str {
        let count = u64::try_from(menu::NAMES.len()).unwrap();
        menu::NAMES[usize::try_from(self.seed.draw() % count).unwrap()]
    }

    /// Somebody edits the config: a session comes, goes, or comes in another version, or the file is broken for a while.
    fn change_config(&mut self) {
        let name = self.some_name();
        self.harms.may_present_again(&host_of(name));
        self.broken_config = self.chance(8);
        let is_there = self.wanted.contains_key(name);
        if is_there && self.wanted.len() > 1 && self.chance(2) {
            self.wanted.remove(name);
            self.mark("a session was removed");
            if self.chance(2) {
                // It comes back before it is quite gone.
                self.handle(Incoming::Reload);
                self.wanted.insert(name, 0);
                self.mark("a session was removed and came back");
                self.plan(
                    Duration::from_millis(150),
                    Event::Happens(Happening::Reload),
                );
            }
        } else {
            let versions = u64::try_from(menu::VERSIONS).unwrap();
            let version = usize::try_from(self.seed.draw() % versions).unwrap();
            let taken = |(other, it): (&&str, &usize)| *other != name && *it == 1;
            let version = if version == 1 && self.wanted.iter().any(taken) {
                0
            } else {
                version
            };
            self.wanted.insert(name, version);
            self.mark(if is_there {
                "a session was changed"
            } else {
                "a session was added"
            });
        }
        if self.is_recovering() {
            self.mark("reloaded in the midst of a recovery");
        }
        if self.chance(3) {
            self.ask_to_reload();
        } else {
            self.handle(Incoming::Reload);
        }
    }

    fn is_recovering(&self) -> bool {
        let now = self.clocks().boot;
        self.daemon.as_ref().is_some_and(|daemon| {
            daemon.slots.values().any(|slot| {
                let account = daemon.accounts.get(slot.account());
                account.is_some_and(|account| {
                    slot.session().phase(now, &account.account) == Phase::Recovering
                })
            })
        })
    }

    fn jump(&mut self) {
        self.mark("the wall clock jumped");
        let by = self
            .seed
            .between(Duration::from_secs(5), Duration::from_hours(2));
        self.wall_moved += SignedDuration::try_from(by).unwrap();
    }
}

pub(super) fn phase_mark(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Alive => "alive",
        Phase::Renewing => "renewing",
        Phase::Recovering => "recovering",
        Phase::NeedsAttention => "needs attention",
        Phase::Paused => "paused",
        Phase::Dormant => "dormant",
    }
}
