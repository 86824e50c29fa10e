//! Who may see, read and order what.

/// The process at the other end of the socket, by `SO_PEERCRED` and `SO_PEERGROUPS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub pid: Option<i32>,
}
