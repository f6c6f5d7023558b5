//! A topic exchange: patterns of words, in which `*` is any one word and `#` any number of words.
//!
//! Patterns without a wildcard are found by the whole key. The others form a tree of steps,
//! and a key is walked through it word by word with the set of all nodes it may stand at:
//! time is bounded by words times nodes reached, never by the ways to get there, which
//! patterns such as `#.a.#.a.#` would make exponential.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

use super::hits::{BindingId, Hit, Hits, remove_hit};
use super::keys::Keys;
use super::words::{WordId, Words};

type NodeId = u32;
const ROOT: NodeId = 0;
/// Where there is no node, and no word.
const NONE: u32 = u32::MAX;

struct Node {
    parent: NodeId,
    /// The word that leads here, `NONE` for a wildcard.
    word: WordId,
    star: NodeId,
    hash: NodeId,
    /// How many words lead on from here.
    literals: u32,
    /// The one word that leads on and its node, which saves a look into the steps; `NONE` when not known.
    only_word: WordId,
    only_to: NodeId,
    /// The last route that came to this `#`.
    seen: u64,
    hits: Hits,
}

impl Node {
    fn new(parent: NodeId, word: WordId) -> Self {
        Self {
            parent,
            word,
            star: NONE,
            hash: NONE,
            literals: 0,
            only_word: NONE,
            only_to: NONE,
            seen: 0,
            hits: Hits::new(),
        }
    }

    #[inline]
    fn leads_on(&self) -> bool {
        self.literals > 0 || self.star != NONE || self.hash != NONE
    }
}

#[derive(Clone, Copy)]
struct Step {
    from: NodeId,
    word: WordId,
    to: NodeId,
}

/// Scratch of a route: which nodes the words so far lead to.
#[derive(Default)]
struct Standing {
    now: Vec<NodeId>,
    next: Vec<NodeId>,
    /// The `#` nodes that were reached: they take every further word, so one never leaves them.
    open: Vec<NodeId>,
}

pub struct Topic {
    exact: Keys,
    words: Words,
    nodes: Vec<Node>,
    free: Vec<NodeId>,
    steps: HashTable<Step>,
    hasher: DefaultHashBuilder,
    standing: Standing,
    key_bytes_max: usize,
}

#[inline]
fn hash_step(hasher: &DefaultHashBuilder, from: NodeId, word: WordId) -> u64 {
    hasher.hash_one(u64::from(from) << 32 | u64::from(word))
}

/// An empty key has no word, as in `RabbitMQ`.
#[inline]
fn words_of(key: &[u8]) -> impl Iterator<Item = &[u8]> {
    let count = if key.is_empty() { 0 } else { usize::MAX };
    key.split(|&byte| byte == b'.').take(count)
}

fn is_exact(pattern: &[u8]) -> bool {
    words_of(pattern).all(|word| word != b"*" && word != b"#")
}

impl Topic {
    pub fn new(key_bytes_max: usize) -> Self {
        Self {
            exact: Keys::default(),
            words: Words::default(),
            nodes: vec![Node::new(ROOT, NONE)],
            free: Vec::new(),
            steps: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            standing: Standing::default(),
            key_bytes_max,
        }
    }

    pub fn insert(&mut self, pattern: &[u8], hit: Hit) {
        if is_exact(pattern) {
            return self.exact.insert(pattern, hit);
        }
        let mut at = ROOT;
        for word in words_of(pattern) {
            at = self.step_to(at, word);
        }
        self.nodes[at as usize].hits.push(hit);
    }

    pub fn remove(&mut self, pattern: &[u8], binding: BindingId) {
        if is_exact(pattern) {
            return self.exact.remove(pattern, binding);
        }
        let mut at = ROOT;
        for word in words_of(pattern) {
            let Some(next) = self.find_step(at, word) else { return };
            at = next;
        }
        if remove_hit(&mut self.nodes[at as usize].hits, binding) {
            self.prune(at, pattern);
        }
    }

    /// Shows the bindings of every pattern that matches. `route` is another number for every call.
    #[inline]
    pub fn matching(&mut self, key: &[u8], route: u64, take: &mut impl FnMut(&[Hit])) {
        take(self.exact.get(key));
        if !self.nodes[ROOT as usize].leads_on() {
            return;
        }
        let mut standing = std::mem::take(&mut self.standing);
        standing.now.clear();
        standing.open.clear();
        self.arrive(ROOT, route, &mut standing.open, take);
        standing.now.push(ROOT);
        if key.len() <= self.key_bytes_max {
            self.walk(key, route, &mut standing, take);
        }
        self.standing = standing;
    }

    #[inline]
    fn walk(&mut self, key: &[u8], route: u64, standing: &mut Standing, take: &mut impl FnMut(&[Hit])) {
        let Standing { now, next, open } = standing;
        for word in words_of(key) {
            let word = self.words.find(word).unwrap_or(NONE);
            // What is opened by this word takes part from the next one on.
            let opened = open.len();
            for &from in now.iter().chain(&open[..opened]) {
                self.advance(from, word, next);
            }
            for &node in &*next {
                self.arrive(node, route, open, take);
            }
            std::mem::swap(now, next);
            next.clear();
            if now.is_empty() && open.is_empty() {
                return;
            }
        }
        for &node in &*now {
            take(&self.nodes[node as usize].hits);
        }
    }

    /// Adds the nodes that `word` leads to. A node has one way to it, so none is added twice.
    #[inline]
    fn advance(&self, from: NodeId, word: WordId, next: &mut Vec<NodeId>) {
        let node = &self.nodes[from as usize];
        if node.star != NONE {
            next.push(node.star);
        }
        if word == NONE || node.literals == 0 {
            return;
        }
        if node.only_to != NONE {
            if node.only_word == word {
                next.push(node.only_to);
            }
        } else if let Some(to) = self.find_literal(from, word) {
            next.push(to);
        }
    }

    /// A `#` behind a node matches no word as well: it is reached with the node, and its bindings match whatever follows.
    #[inline]
    fn arrive(&mut self, node: NodeId, route: u64, open: &mut Vec<NodeId>, take: &mut impl FnMut(&[Hit])) {
        let mut hash = self.nodes[node as usize].hash;
        while hash != NONE {
            let node = &mut self.nodes[hash as usize];
            if node.seen == route {
                return;
            }
            node.seen = route;
            take(&node.hits);
            if node.leads_on() {
                open.push(hash);
            }
            hash = node.hash;
        }
    }

    #[inline]
    fn find_literal(&self, from: NodeId, word: WordId) -> Option<NodeId> {
        let hash = hash_step(&self.hasher, from, word);
        self.steps.find(hash, |step| step.from == from && step.word == word).map(|step| step.to)
    }

    fn find_step(&self, from: NodeId, word: &[u8]) -> Option<NodeId> {
        let node = &self.nodes[from as usize];
        match word {
            b"*" => Some(node.star).filter(|&to| to != NONE),
            b"#" => Some(node.hash).filter(|&to| to != NONE),
            _ => self.find_literal(from, self.words.find(word)?),
        }
    }

    /// The node that a word of a pattern leads to, made where there is none.
    fn step_to(&mut self, from: NodeId, word: &[u8]) -> NodeId {
        if let Some(to) = self.find_step(from, word) {
            return to;
        }
        let is_literal = word != b"*" && word != b"#";
        let id = if is_literal { self.words.add(word) } else { NONE };
        let to = self.node_add(from, id);
        let node = &mut self.nodes[from as usize];
        if !is_literal {
            *(if word == b"*" { &mut node.star } else { &mut node.hash }) = to;
            return to;
        }
        node.literals += 1;
        (node.only_word, node.only_to) = if node.literals == 1 { (id, to) } else { (NONE, NONE) };
        let hasher = &self.hasher;
        let step = Step { from, word: id, to };
        self.steps.insert_unique(hash_step(hasher, from, id), step, |step| hash_step(hasher, step.from, step.word));
        to
    }

    fn node_add(&mut self, parent: NodeId, word: WordId) -> NodeId {
        let node = Node::new(parent, word);
        if let Some(id) = self.free.pop() {
            self.nodes[id as usize] = node;
            return id;
        }
        self.nodes.push(node);
        (self.nodes.len() - 1) as NodeId
    }

    /// Takes away the end of a pattern's way as far as no other pattern uses it.
    fn prune(&mut self, mut at: NodeId, pattern: &[u8]) {
        let mut words: smallvec::SmallVec<[&[u8]; 16]> = words_of(pattern).collect();
        while at != ROOT {
            let node = &self.nodes[at as usize];
            if !node.hits.is_empty() || node.leads_on() {
                return;
            }
            let (parent, word) = (node.parent, node.word);
            let text = words.pop().unwrap_or_default();
            self.detach(parent, at, word, text);
            self.free.push(at);
            at = parent;
        }
    }

    fn detach(&mut self, parent: NodeId, child: NodeId, word: WordId, text: &[u8]) {
        let node = &mut self.nodes[parent as usize];
        if node.star == child {
            node.star = NONE;
        } else if node.hash == child {
            node.hash = NONE;
        } else {
            node.literals -= 1;
            (node.only_word, node.only_to) = (NONE, NONE);
            let hash = hash_step(&self.hasher, parent, word);
            if let Ok(entry) = self.steps.find_entry(hash, |step| step.from == parent && step.word == word) {
                entry.remove();
            }
            self.words.remove(text);
        }
    }

    /// Nodes in use, steps and words: all but the root go when the last pattern goes.
    #[cfg(test)]
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.nodes.len() - self.free.len(), self.steps.len(), self.words.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::hits::NO_RULE;
    use super::super::{Destination, Target};
    use super::*;

    fn hit(binding: BindingId) -> Hit {
        Hit { to: Destination::Target(Target::Queue(binding)), rule: NO_RULE, binding }
    }

    #[test]
    fn nothing_is_left_of_patterns_that_went() {
        let patterns = ["a.*.b", "a.*.c", "#.a", "a.*", "#", "#.#.x.y", "a.b", "*.x.*", "a.*.b"];
        let mut topic = Topic::new(1_024);
        let mut sizes = vec![topic.sizes()];
        for (binding, pattern) in patterns.iter().enumerate() {
            topic.insert(pattern.as_bytes(), hit(binding as BindingId));
            sizes.push(topic.sizes());
        }
        for (binding, pattern) in patterns.iter().enumerate().rev() {
            assert_eq!(topic.sizes(), sizes[binding + 1]);
            topic.remove(pattern.as_bytes(), binding as BindingId);
        }
        assert_eq!(topic.sizes(), (1, 0, 0));
        topic.remove(b"never.*", 99);
    }
}
