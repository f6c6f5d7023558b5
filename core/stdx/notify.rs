//! Telling a supervisor how its service fares: the datagrams of `sd_notify(3)`.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends lines such as `READY=1` to the socket that the supervisor named in `NOTIFY_SOCKET`: a path, or a name in the
/// abstract space behind `@`. Never waits: a supervisor that does not read must not hold its service up.
///
/// # Errors
/// What the system says of the address or of sending; nothing has been sent then.
pub fn notify(address: &str, state: &str) -> io::Result<()> {
    let to = match address.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    // A datagram is sent whole or not at all.
    socket.send_to_addr(state.as_bytes(), &to).map(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let count = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..count].to_vec()).unwrap()
    }

    #[test]
    fn a_state_arrives_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        notify(path.to_str().unwrap(), "READY=1\nSTATUS=serving").unwrap();
        assert_eq!(received(&socket), "READY=1\nSTATUS=serving");

        let name = format!("millrace-notify-{}", std::process::id());
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        notify(&format!("@{name}"), "WATCHDOG=1").unwrap();
        assert_eq!(received(&socket), "WATCHDOG=1");
    }

    #[test]
    fn nobody_who_listens_and_a_name_that_is_too_long_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        assert!(notify(folder.path().join("nobody").to_str().unwrap(), "READY=1").is_err());
        assert!(notify(&"x".repeat(200), "READY=1").is_err());
        assert!(notify("", "READY=1").is_err());
    }
}
