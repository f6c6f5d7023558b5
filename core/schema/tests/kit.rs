//! Tables and bodies by hand.

use crate::schema::Schema;
use crate::stdx::msgpack::{write_array, write_bin, write_nil, write_optional_uint, write_str, write_uint};

/// A table under construction: a list of types as msgpack.
pub struct Table {
    root: u64,
    types: Vec<Vec<u8>>,
}

pub struct FieldOf<'a> {
    pub name: &'a str,
    pub aliases: &'a [&'a str],
    pub of: u64,
    pub default: Option<&'a [u8]>,
}

pub fn field(name: &str, of: u64) -> FieldOf<'_> {
    FieldOf { name, aliases: &[], of, default: None }
}

fn names(out: &mut Vec<u8>, names: &[&str]) {
    write_array(out, names.len());
    for name in names {
        write_str(out, name);
    }
}

impl Table {
    /// Its types have the numbers 8, 9 and so on, in the order in which they are added.
    pub fn new(root: u64) -> Self {
        Self { root, types: Vec::new() }
    }

    /// The number of the type that is added next.
    pub fn next(&self) -> u64 {
        8 + self.types.len() as u64
    }

    pub fn rooted(self, root: u64) -> Self {
        Self { root, ..self }
    }

    fn add(mut self, kind: u64, length: usize, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = Vec::new();
        write_array(&mut out, length);
        write_uint(&mut out, kind);
        write(&mut out);
        self.types.push(out);
        self
    }

    pub fn fixed(self, name: &str, size: u64) -> Self {
        self.add(8, 4, |out| {
            write_str(out, name);
            names(out, &[]);
            write_uint(out, size);
        })
    }

    pub fn symbols(self, name: &str, symbols: &[&str], default: Option<u64>) -> Self {
        self.add(9, 5, |out| {
            write_str(out, name);
            names(out, &[]);
            names(out, symbols);
            write_optional_uint(out, default);
        })
    }

    pub fn array(self, items: u64) -> Self {
        self.add(10, 2, |out| write_uint(out, items))
    }

    pub fn map(self, values: u64) -> Self {
        self.add(11, 2, |out| write_uint(out, values))
    }

    pub fn union(self, branches: &[u64]) -> Self {
        self.add(12, 2, |out| {
            write_array(out, branches.len());
            for &branch in branches {
                write_uint(out, branch);
            }
        })
    }

    pub fn record(self, name: &str, fields: &[FieldOf<'_>]) -> Self {
        self.record_as(name, &[], fields)
    }

    pub fn record_as(self, name: &str, aliases: &[&str], fields: &[FieldOf<'_>]) -> Self {
        self.add(13, 4, |out| {
            write_str(out, name);
            names(out, aliases);
            write_array(out, fields.len());
            for field in fields {
                write_array(out, 4);
                write_str(out, field.name);
                names(out, field.aliases);
                write_uint(out, field.of);
                match field.default {
                    Some(default) => write_bin(out, default),
                    None => write_nil(out),
                }
            }
        })
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write_array(&mut out, 3);
        write_uint(&mut out, 1);
        write_uint(&mut out, self.root);
        write_array(&mut out, self.types.len());
        for of in &self.types {
            out.extend_from_slice(of);
        }
        out
    }

    pub fn schema(&self) -> Schema {
        Schema::read(&self.bytes()).unwrap()
    }
}

/// A body under construction.
#[derive(Default, Clone)]
pub struct Body(pub Vec<u8>);

impl Body {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn long(mut self, value: i64) -> Self {
        let mut raw = (value << 1 ^ value >> 63).cast_unsigned();
        while raw >= 0x80 {
            self.0.push(raw as u8 | 0x80);
            raw >>= 7;
        }
        self.0.push(raw as u8);
        self
    }

    pub fn count(self, count: usize) -> Self {
        self.long(count.cast_signed() as i64)
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.count(text.len()).raw(text.as_bytes())
    }

    pub fn double(self, value: f64) -> Self {
        self.raw(&value.to_le_bytes())
    }
}

/// A tick of 60 bytes, as the benches have it.
pub fn tick() -> (Table, Body) {
    let table = Table::new(8).record(
        "Tick",
        &[
            field("symbol", 7),
            field("price", 5),
            field("bid", 5),
            field("ask", 5),
            field("volume", 3),
            field("time", 3),
            field("venue", 9),
            field("note", 10),
        ],
    );
    let table = table.symbols("Venue", &["XNAS", "XNYS"], None).union(&[0, 7]);
    let body = Body::new().text("AAPL").double(190.5).double(190.4).double(190.6);
    let body = body.long(1_200_300).long(1_763_726_400_000).long(1).long(1).text("regular hours only");
    (table, body)
}
