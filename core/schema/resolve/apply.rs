//! The walk over a body that writes it anew.

use smallvec::SmallVec;

use super::Resolution;
use super::nodes::{Node, NodeId, Piece, Plan, Step};
use super::pairs::{Promotion, ROOT};
use crate::schema::cursor::Blocks;
use crate::schema::invalid::{Invalid, Reason, Step as PathStep};
use crate::schema::types::{Type, TypeId};
use crate::schema::walk::{Walk, Walked};

/// Of a body in the reader's schema: defaults can make a short body very long.
pub const RESOLVED_BYTES_MAX: usize = 16 << 20;

impl Resolution {
    /// Appends to `out` what `body` is in the reader's schema. The whole body is checked on the way, as `Schema::validate` does.
    ///
    /// # Errors
    /// What is wrong with the body, or the place whose value the reader's schema has no match for; `out` is as before then.
    pub fn apply(&self, body: &[u8], out: &mut Vec<u8>) -> Walked {
        let start = out.len();
        let mut apply = Apply { nodes: &self.nodes, walk: Walk::new(&self.writer, body), start, out };
        let done = apply.node(ROOT as NodeId, 0).and_then(|()| apply.walk.end());
        if done.is_err() {
            out.truncate(start);
        }
        done
    }
}

struct Apply<'r, 'a, 'o> {
    nodes: &'r [Node],
    walk: Walk<'r, 'a>,
    out: &'o mut Vec<u8>,
    /// Where in `out` the new body begins.
    start: usize,
}

impl<'r> Apply<'r, '_, '_> {
    fn node(&mut self, id: NodeId, depth: u32) -> Walked {
        let nodes = self.nodes;
        match &nodes[id as usize] {
            Node::Fail => Err(self.walk.fault(Reason::NoMatch)),
            Node::Copy(of) => {
                let bytes = self.walk.cursor.bytes;
                let from = self.walk.cursor.at;
                self.walk.value(*of, depth)?;
                self.put(&bytes[from..self.walk.cursor.at])
            }
            Node::Promote(promotion) => self.promote(*promotion),
            Node::Enum(symbols) => self.symbol(symbols),
            Node::Array { node, items } => self.array(*node, *items, depth),
            Node::Map(node) => self.map(*node, depth),
            Node::FromUnion(branches) => {
                let branch = self.walk.cursor.index(branches.len(), Reason::Branch, "union");
                let branch = self.walk.placed(branch)?;
                self.node(branches[branch], depth)
            }
            Node::ToUnion { branch, node } => {
                self.long(i64::from(*branch));
                self.node(*node, depth)
            }
            Node::Record(plan) => self.record(plan, depth),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Walked {
        self.out.extend_from_slice(bytes);
        if self.out.len() - self.start > RESOLVED_BYTES_MAX {
            return Err(self.walk.fault(Reason::Growth));
        }
        Ok(())
    }

    fn long(&mut self, value: i64) {
        let mut raw = (value << 1 ^ value >> 63).cast_unsigned();
        while raw >= 0x80 {
            self.out.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.out.push(raw as u8);
    }

    #[allow(clippy::cast_precision_loss, reason = "what Avro's promotions do")]
    fn promote(&mut self, promotion: Promotion) -> Walked {
        let cursor = &mut self.walk.cursor;
        let whole = match promotion {
            Promotion::IntToFloat | Promotion::IntToDouble => cursor.int().map(i64::from),
            Promotion::LongToFloat | Promotion::LongToDouble => cursor.long("long"),
            Promotion::FloatToDouble => {
                let read = cursor.float();
                let value = self.walk.placed(read)?;
                return self.put(&f64::from(value).to_le_bytes());
            }
            Promotion::BytesToString => return self.text(),
            Promotion::Same => return Err(self.walk.fault(Reason::NoMatch)),
        };
        let whole = self.walk.placed(whole)?;
        match promotion {
            Promotion::IntToFloat | Promotion::LongToFloat => self.put(&(whole as f32).to_le_bytes()),
            _ => self.put(&(whole as f64).to_le_bytes()),
        }
    }

    /// Bytes that are to be a string have to be one.
    fn text(&mut self) -> Walked {
        let text = self.walk.cursor.text();
        let text = self.walk.placed(text)?;
        self.long(text.len().cast_signed() as i64);
        self.put(text)
    }

    fn symbol(&mut self, symbols: &[Option<u32>]) -> Walked {
        let at = self.walk.cursor.at;
        let symbol = self.walk.cursor.index(symbols.len(), Reason::Symbol, "enum");
        let symbol = self.walk.placed(symbol)?;
        let Some(symbol) = symbols[symbol] else { return Err(Invalid::new(Reason::NoMatch, at)) };
        self.long(i64::from(symbol));
        Ok(())
    }

    fn array(&mut self, node: NodeId, items: TypeId, depth: u32) -> Walked {
        let depth = self.walk.deeper(depth)?;
        let mut blocks = Blocks::new("array");
        let mut passed = 0;
        loop {
            let count = blocks.next(&mut self.walk.cursor);
            let count = self.walk.placed(count)?;
            if self.walk.schema.is_empty(items) {
                self.walk.spend_empty(count)?;
            }
            self.long(count.cast_signed());
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                self.node(node, depth).map_err(|invalid| invalid.inside(&PathStep::Item(passed)))?;
                passed += 1;
            }
        }
    }

    fn map(&mut self, node: NodeId, depth: u32) -> Walked {
        let depth = self.walk.deeper(depth)?;
        let mut blocks = Blocks::new("map");
        loop {
            let count = blocks.next(&mut self.walk.cursor);
            let count = self.walk.placed(count)?;
            self.long(count.cast_signed());
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                let key = self.walk.cursor.text();
                let key = self.walk.placed(key)?;
                self.long(key.len().cast_signed() as i64);
                self.put(key)?;
                self.node(node, depth).map_err(|invalid| invalid.inside(&PathStep::Key(key)))?;
            }
        }
    }

    fn record(&mut self, plan: &'r Plan, depth: u32) -> Walked {
        let depth = self.walk.deeper(depth)?;
        let start = self.out.len();
        // Where what each field made ends.
        let mut ends = SmallVec::<[usize; 16]>::new();
        // The writer's field that comes next, and where the one before began.
        let mut field = 0;
        let mut began = self.walk.cursor.at;
        for step in &plan.steps {
            let done = match step {
                Step::Default(bytes) => {
                    self.put(bytes)?;
                    continue;
                }
                Step::Again(node) => {
                    self.walk.cursor.at = began;
                    field -= 1;
                    self.node(*node, depth)
                }
                Step::Take(node) => {
                    began = self.walk.cursor.at;
                    self.node(*node, depth)
                }
                Step::Skip(of) => self.walk.value(*of, depth),
            };
            if let Err(invalid) = done {
                return Err(self.inside_field(invalid, plan.of, field));
            }
            field += 1;
            if plan.order.is_some() && !matches!(step, Step::Skip(_)) {
                ends.push(self.out.len());
            }
        }
        plan.order.as_deref().map_or(Ok(()), |order| self.arrange(order, start, &ends))
    }

    /// Puts what the steps made from `start` on into the reader's order: behind it first, and then in its place.
    fn arrange(&mut self, order: &[Piece], start: usize, ends: &[usize]) -> Walked {
        let end = self.out.len();
        for piece in order {
            match piece {
                Piece::Default(bytes) => self.out.extend_from_slice(bytes),
                Piece::Taken(place) => {
                    let place = *place as usize;
                    let from = if place == 0 { start } else { ends[place - 1] };
                    self.out.extend_from_within(from..ends[place]);
                }
            }
        }
        self.out.copy_within(end.., start);
        self.out.truncate(self.out.len() - (end - start));
        self.put(&[])
    }

    #[cold]
    fn inside_field(&self, invalid: Box<Invalid>, of: TypeId, field: usize) -> Box<Invalid> {
        match self.walk.schema.get(of) {
            Some(Type::Record(record)) => invalid.inside(&PathStep::Field(&record.fields[field].name)),
            _ => invalid,
        }
    }
}
