//! Whose the other end of a connection over loopback is.
//!
//! Every user of a machine reaches what listens on loopback. The kernel lists whose each connection is (proc(5),
//! `/proc/self/net/tcp`).

use std::fs;
use std::net::{IpAddr, SocketAddr};

/// `01`: an end that its program still holds; of others the kernel may not know the user any more.
const ESTABLISHED: &str = "01";

/// Whose end of a connection it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    User(u32),
    /// The kernel does not list it.
    Unlisted,
    /// There is no such list here.
    Unknowable,
}

impl Peer {
    /// Looks up whose end of the connection `theirs` is; `ours` is the other one. By the process's own directory: in the
    /// service, `ProcSubset=pid` hides `/proc/net`.
    pub(crate) fn of(theirs: SocketAddr, ours: SocketAddr) -> Self {
        let lists =
            ["/proc/self/net/tcp", "/proc/self/net/tcp6"].map(|list| fs::read_to_string(list).ok());
        if lists.iter().all(Option::is_none) {
            return Self::Unknowable;
        }
        lists
            .iter()
            .flatten()
            .find_map(|list| user_in(list, theirs, ours))
            .map_or(Self::Unlisted, Self::User)
    }
}

/// The user of the connection from `theirs` to `ours`, as the kernel lists it.
fn user_in(list: &str, theirs: SocketAddr, ours: SocketAddr) -> Option<u32> {
    let (theirs, ours) = (as_listed(theirs), as_listed(ours));
    list.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, local, remote, state, _, _, _, user, ..] = fields.as_slice() else {
            return None;
        };
        let is_it = theirs
            .iter()
            .zip(&ours)
            .any(|(theirs, ours)| theirs == local && ours == remote);
        (is_it && *state == ESTABLISHED).then(|| user.parse().ok())?
    })
}

/// The address as it is in either list: words of the machine's byte order.
fn as_listed(address: SocketAddr) -> Vec<String> {
    let words = |octets: &[u8]| -> String {
        let words = octets
            .chunks_exact(4)
            .filter_map(|word| word.try_into().ok().map(u32::from_ne_bytes));
        words
            .map(|word| format!("{word:08X}"))
            .collect::<Vec<_>>()
            .concat()
    };
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) => {
            let mapped = ip.to_ipv6_mapped().octets();
            vec![
                format!("{}:{port:04X}", words(&ip.octets())),
                format!("{}:{port:04X}", words(&mapped)),
            ]
        }
        IpAddr::V6(ip) => vec![format!("{}:{port:04X}", words(&ip.octets()))],
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_says_whose_a_connection_over_loopback_is() {
        let own = rustix::process::geteuid().as_raw();
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(ear) = TcpListener::bind(address) else {
                continue;
            };
            let theirs = TcpStream::connect(ear.local_addr().unwrap()).unwrap();
            let (ours, _) = ear.accept().unwrap();
            assert_eq!(
                Peer::of(ours.peer_addr().unwrap(), ours.local_addr().unwrap()),
                Peer::User(own),
                "{address}"
            );
            drop(theirs);
            // A program that another test is just starting may hold a copy until it runs.
            let forgotten = (0..500).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                Peer::of(ours.peer_addr().unwrap(), ours.local_addr().unwrap()) == Peer::Unlisted
            });
            assert!(forgotten, "{address}: whose it was is not known any more");
        }
    }

    #[test]
    fn only_an_end_that_is_still_held_is_believed() {
        let list = |state: &str| {
            format!(
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                 \x20  0: {}:A001 {}:1F90 {state} 00000000:00000000 00:00000000 00000000  1001        0 77 1\n",
                &as_listed("127.0.0.1:0".parse().unwrap())[0][..8],
                &as_listed("127.0.0.1:0".parse().unwrap())[0][..8]
            )
        };
        let (theirs, ours) = (
            "127.0.0.1:40961".parse().unwrap(),
            "127.0.0.1:8080".parse().unwrap(),
        );
        for (state, expected) in [("01", Some(1001)), ("06", None), ("05", None)] {
            assert_eq!(user_in(&list(state), theirs, ours), expected, "{state}");
        }
        assert_eq!(
            user_in(&list("01"), ours, theirs),
            None,
            "our own end is not theirs"
        );
    }
}
