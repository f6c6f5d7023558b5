//! How long messages take from socket to socket, stage by stage. Noted once an append, a run that is
//! delivered, or a connection's write: never per message. A worker has its own, so nothing is shared.

use crate::stdx::histogram::Histogram;

/// Of what one worker has done.
#[derive(Default)]
pub struct Stages {
    /// From the chunk that brought it to the beginning of its append.
    pub receive: Histogram,
    /// The append; with its routing where it goes through an exchange.
    pub append: Histogram,
    /// From the append to where consumers see it: 0 unless the topic waits for syncs.
    pub commit: Histogram,
    /// From there to the plan of what a consumer is written that had waited for it.
    pub dispatch: Histogram,
    /// From there until the socket has taken it.
    pub send: Histogram,
    /// All of it.
    pub total: Histogram,
}

impl Stages {
    /// With their names.
    pub fn each(&self) -> [(&'static str, &Histogram); 6] {
        [
            ("receive", &self.receive),
            ("append", &self.append),
            ("commit", &self.commit),
            ("dispatch", &self.dispatch),
            ("send", &self.send),
            ("total", &self.total),
        ]
    }
}
