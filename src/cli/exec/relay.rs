//! A port of loopback for one command: what comes in goes to a session's gateway, as long as the command runs.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;

use crate::serve::Peer;

/// Opens the port; it ends with this process.
///
/// # Errors
/// When the system gives no port or no thread.
pub(super) fn open(gateway: PathBuf) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let serve = move || {
        for job in listener.incoming().flatten() {
            let gateway = gateway.clone();
            // Without a thread the job's connection ends, and it tries again.
            let _ = thread::Builder::new().spawn(move || relay(&job, &gateway));
        }
    };
    thread::Builder::new()
        .name("relay".to_owned())
        .spawn(serve)?;
    Ok(address)
}

/// Passes both ways until both ends are done. Other users of the machine reach the port as well, and are let go.
fn relay(job: &TcpStream, gateway: &Path) -> io::Result<()> {
    let own = Peer::User(rustix::process::geteuid().as_raw());
    if Peer::of(job.peer_addr()?, job.local_addr()?) != own {
        return Ok(());
    }
    let gateway = UnixStream::connect(gateway)?;
    thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*job, &mut &gateway);
            let _ = gateway.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &gateway, &mut &*job);
        let _ = job.shutdown(Shutdown::Both);
    });
    Ok(())
}
