//! What a turn decided, as numbers that cross the binding without allocation:
//! TypeScript walks them and calls the sockets.

/// The operations of a plan, each followed by its operands.
pub mod op {
    /// connection, arena start, length
    pub const WRITE_ARENA: u32 = 1;
    /// connection, map slot, start, length
    pub const WRITE_MAP: u32 = 2;
    /// map slot: take the view of it (`Worker::map_view`) before the writes that follow
    pub const MAP_OPEN: u32 = 3;
    /// map slot: copy what is unsent, detach, then `Worker::map_release`
    pub const MAP_RETIRE: u32 = 4;
    /// connection: read from its socket again
    pub const RESUME: u32 = 5;
    /// connection, arena start, length of the GOODBYE frame
    pub const CLOSE: u32 = 6;
    /// connection, subscription, source, code, next offset
    pub const SOURCE_END: u32 = 7;
    /// messages wait (`Worker::take_mail`)
    pub const MAIL: u32 = 8;
    /// token, error code (0: synced)
    pub const SYNCED: u32 = 9;
    /// ms since the epoch: a turn is due then
    pub const TIMER: u32 = 10;
}

#[derive(Default)]
pub struct Plan {
    /// How many words there are with this one, then operations and operands; f64
    /// because offsets pass 32 bits.
    pub words: Vec<f64>,
    /// Bytes of acks, frame heads and small deliveries.
    pub arena: Vec<u8>,
}

impl Plan {
    pub(super) fn with_capacity(arena_bytes: usize) -> Self {
        Self { words: Vec::with_capacity(1 << 16), arena: Vec::with_capacity(arena_bytes) }
    }

    pub(super) fn clear(&mut self) {
        self.words.clear();
        self.words.push(0.0);
        self.arena.clear();
    }

    #[allow(clippy::cast_precision_loss, reason = "a plan has far fewer than 2^53 words")]
    pub(super) fn finish(&mut self) {
        self.words[0] = self.words.len() as f64;
    }

    #[inline]
    pub(super) fn push<const N: usize>(&mut self, op: u32, operands: [u64; N]) {
        self.words.push(f64::from(op));
        #[allow(clippy::cast_precision_loss, reason = "ids and offsets stay below 2^53")]
        self.words.extend(operands.map(|operand| operand as f64));
    }

    /// Adds a write of `arena[start..]` for a connection, if there is any.
    #[inline]
    pub(super) fn write_arena_from(&mut self, connection: u32, start: usize) {
        let length = self.arena.len() - start;
        if length > 0 {
            self.push(op::WRITE_ARENA, [u64::from(connection), start as u64, length as u64]);
        }
    }
}
