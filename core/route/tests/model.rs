//! The router beside a plain model of it: whatever is declared, bound and unbound in between, every message goes where the
//! model says, from the tables and from the cache.

use std::collections::{BTreeMap, BTreeSet};

use super::kit::Random;
use super::values::{Content, OPERATORS, Rule, Value};
use crate::route::hits::{Hit, NO_RULE};
use crate::route::share::Share;
use crate::route::{
    Arguments, Destination, ExchangeId, ExchangeKind, HeaderOp, HeaderTest, HeadersMatch, Literal, Message, Predicate,
    RouteLimits, Router, SetId, Target,
};

const EXCHANGES: usize = 6;
const QUEUES: usize = 8;
const KINDS: [ExchangeKind; 5] = [
    ExchangeKind::Direct,
    ExchangeKind::Fanout,
    ExchangeKind::Topic,
    ExchangeKind::Headers,
    ExchangeKind::ConsistentHash,
];

/// Arguments that can be decided by looking, and made again for an unbind.
#[derive(Clone, Debug)]
enum Wanted {
    Nothing,
    Headers(HeadersMatch, Vec<(String, &'static str, Value)>),
    Rule(Rule, String),
}

#[derive(Clone, Debug)]
struct Bound {
    exchange: ExchangeId,
    to: Destination,
    key: String,
    wanted: Wanted,
}

#[derive(Clone, Debug)]
struct Declared {
    kind: ExchangeKind,
    alternate: Option<ExchangeId>,
    header: Option<String>,
}

#[derive(Default)]
struct Model {
    exchanges: BTreeMap<ExchangeId, Declared>,
    bindings: Vec<Bound>,
    names: BTreeMap<String, u32>,
}

impl Wanted {
    fn random(random: &mut Random) -> Self {
        match random.below(4) {
            0 | 1 => Self::Nothing,
            2 => {
                let mode = if random.once(2) { HeadersMatch::All } else { HeadersMatch::Any };
                let test = |random: &mut Random| {
                    let operators = [&OPERATORS[..], &["==", "==", "exists", "prefix"]].concat();
                    let name = *random.pick(&["a", "b", "c"]);
                    (name.to_owned(), *random.pick(&operators), Value::scalar(random))
                };
                let mut tests: Vec<_> = (0..random.below(4)).map(|_| test(random)).collect();
                tests.retain(|(_, op, value)| *op != "prefix" || matches!(value, Value::Text(_)));
                Self::Headers(mode, tests)
            }
            _ => {
                let rule = Rule::random(random, 2);
                let text = rule.text(random);
                Self::Rule(rule, text)
            }
        }
    }

    fn arguments(&self) -> Arguments {
        match self {
            Self::Nothing => Arguments::none(),
            Self::Rule(_, text) => Arguments::filter(Predicate::parse(text).unwrap()),
            Self::Headers(mode, tests) => {
                let test = |(name, op, value): &(String, &'static str, Value)| HeaderTest {
                    name: name.as_bytes().into(),
                    op: HeaderOp::from_name(if *op == "==" { "=" } else { op }).unwrap(),
                    value: literal(value),
                };
                Arguments::headers(*mode, &tests.iter().map(test).collect::<Vec<_>>()).unwrap()
            }
        }
    }

    fn holds(&self, content: &Content) -> bool {
        match self {
            Self::Nothing => true,
            Self::Rule(rule, _) => rule.holds(content),
            Self::Headers(mode, tests) => {
                let mut results = tests.iter().map(|test| test_holds(test, content));
                match mode {
                    HeadersMatch::All => results.all(|holds| holds),
                    HeadersMatch::Any => results.any(|holds| holds),
                }
            }
        }
    }
}

fn literal(value: &Value) -> Literal {
    match value {
        Value::Bool(value) => Literal::Bool(*value),
        Value::Int(value) => Literal::Int((*value).into()),
        Value::Float(value) => Literal::Float(*value),
        Value::Text(text) => Literal::Text(text.as_bytes().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => Literal::Null,
    }
}

fn test_holds((name, op, value): &(String, &'static str, Value), content: &Content) -> bool {
    use super::values::Operand;
    let header = Operand::Header(name.clone());
    let rule = match (*op, value) {
        ("exists", Value::Bool(false)) => Rule::Not(Box::new(Rule::Exists(header))),
        ("exists", _) => Rule::Exists(header),
        ("prefix", Value::Text(prefix)) => Rule::Prefix(header, prefix.clone()),
        (operator, value) => Rule::Compare(header, operator, Operand::Literal(value.clone())),
    };
    rule.holds(content)
}

fn matches(pattern: &[&str], words: &[&str]) -> bool {
    match pattern.split_first() {
        None => words.is_empty(),
        Some((&"#", rest)) => (0..=words.len()).any(|skipped| matches(rest, &words[skipped..])),
        Some((word, rest)) => match words.split_first() {
            Some((first, after)) => (*word == "*" || word == first) && matches(rest, after),
            None => false,
        },
    }
}

fn words(key: &str) -> Vec<&str> {
    if key.is_empty() { Vec::new() } else { key.split('.').collect() }
}

impl Model {
    fn taken(&self, id: ExchangeId, content: &Content, message: &Message<'_>) -> Vec<Destination> {
        let declared = &self.exchanges[&id];
        let bound = self.bindings.iter().filter(|bound| bound.exchange == id);
        if declared.kind == ExchangeKind::ConsistentHash {
            // Built anew, which has to give what came of all the changes.
            let mut share = Share::default();
            share.set_header(declared.header.as_deref());
            for bound in bound {
                share.insert(Hit { to: bound.to, rule: NO_RULE, binding: 0 }, bound.key.parse().unwrap());
            }
            return share.get(message).into_iter().map(|hit| hit.to).collect();
        }
        let takes = |bound: &&Bound| {
            let is_key = match declared.kind {
                ExchangeKind::Direct => bound.key == content.key,
                ExchangeKind::Topic => matches(&words(&bound.key), &words(&content.key)),
                _ => true,
            };
            is_key && bound.wanted.holds(content)
        };
        bound.filter(takes).map(|bound| bound.to).collect()
    }

    fn route(&self, start: ExchangeId, content: &Content, message: &Message<'_>) -> Vec<Target> {
        let (mut seen, mut found, mut ahead) = (BTreeSet::new(), BTreeSet::new(), vec![start]);
        loop {
            while let Some(id) = ahead.pop() {
                if !seen.insert(id) {
                    continue;
                }
                if id == 0 {
                    found.extend(self.names.get(&content.key).map(|&queue| Target::Queue(queue)));
                }
                let Some(declared) = self.exchanges.get(&id) else { continue };
                let taken = self.taken(id, content, message);
                if taken.is_empty() {
                    ahead.extend(declared.alternate);
                }
                for to in taken {
                    match to {
                        Destination::Target(target) => drop(found.insert(target)),
                        Destination::Exchange(exchange) => ahead.push(exchange),
                    }
                }
            }
            let others = seen.iter().filter_map(|id| self.exchanges.get(id)?.alternate);
            ahead.extend(others.filter(|id| !seen.contains(id)));
            if !found.is_empty() || ahead.is_empty() {
                return found.into_iter().collect();
            }
        }
    }
}

fn random_key(random: &mut Random) -> String {
    let count = random.below(5);
    let words: Vec<&str> = (0..count).map(|_| *random.pick(&["a", "b", "c", ""])).collect();
    words.join(".")
}

fn random_pattern(random: &mut Random) -> String {
    let count = random.below(5);
    let words: Vec<&str> = (0..count).map(|_| *random.pick(&["a", "a", "b", "*", "#", "#", "", "a*"])).collect();
    words.join(".")
}

struct Pair {
    router: Router,
    model: Model,
}

impl Pair {
    fn random_bound(&self, random: &mut Random) -> Bound {
        let exchange = 1 + random.below(EXCHANGES) as u32;
        let to = match random.below(6) {
            0 => Destination::Exchange(1 + random.below(EXCHANGES) as u32),
            1 => Target::Topic(random.below(3) as u64).into(),
            _ => Target::Queue(random.below(QUEUES) as u32).into(),
        };
        let kind = self.model.exchanges.get(&exchange).map(|declared| declared.kind);
        let (key, wanted) = match kind {
            Some(ExchangeKind::ConsistentHash) => ((1 + random.below(4)).to_string(), Wanted::Nothing),
            Some(ExchangeKind::Direct) => (random_key(random), Wanted::random(random)),
            _ => (random_pattern(random), Wanted::random(random)),
        };
        Bound { exchange, to, key, wanted }
    }

    fn bind(&mut self, bound: Bound) {
        let Bound { exchange, to, ref key, ref wanted } = bound;
        let is_there = |id: &ExchangeId| self.model.exchanges.contains_key(id);
        let is_good = is_there(&exchange) && !matches!(to, Destination::Exchange(id) if !is_there(&id));
        let before = self.router.bindings_len();
        let result = self.router.bind(exchange, to, key.as_bytes(), wanted.arguments());
        assert_eq!(result.is_ok(), is_good, "{bound:?}");
        if self.router.bindings_len() > before {
            self.model.bindings.push(bound);
        }
    }

    fn unbind(&mut self, random: &mut Random) {
        if self.model.bindings.is_empty() {
            return;
        }
        let at = random.below(self.model.bindings.len());
        let Bound { exchange, to, key, wanted } = self.model.bindings.swap_remove(at);
        assert!(self.router.unbind(exchange, to, key.as_bytes(), &wanted.arguments()));
        assert!(!self.router.unbind(exchange, to, key.as_bytes(), &wanted.arguments()), "once");
    }

    fn declare(&mut self, random: &mut Random) {
        let id = 1 + random.below(EXCHANGES) as u32;
        let kind = *random.pick(&KINDS);
        let alternate = random.once(2).then(|| random.below(EXCHANGES + 1) as u32);
        let header = (kind == ExchangeKind::ConsistentHash && random.once(2)).then(|| "a".to_owned());
        let result = self.router.exchange_put(id, kind, alternate, header.as_deref());
        let is_good = self.model.exchanges.get(&id).is_none_or(|declared| declared.kind == kind);
        assert_eq!(result.is_ok(), is_good);
        if is_good {
            self.model.exchanges.insert(id, Declared { kind, alternate, header });
        }
    }

    fn change(&mut self, random: &mut Random) {
        match random.below(24) {
            0..=2 => self.declare(random),
            3 if random.once(4) => {
                let id = 1 + random.below(EXCHANGES) as u32;
                self.router.exchange_remove(id);
                self.model.exchanges.remove(&id);
                self.model.bindings.retain(|bound| bound.exchange != id && bound.to != Destination::Exchange(id));
            }
            4 if random.once(2) => {
                let target = Target::Queue(random.below(QUEUES) as u32);
                self.router.target_remove(target);
                self.model.bindings.retain(|bound| bound.to != target.into());
            }
            5 => {
                let name = random_key(random);
                self.router.name_put(name.as_bytes(), 100);
                self.model.names.insert(name, 100);
            }
            6 => {
                let name = random_key(random);
                self.router.name_remove(name.as_bytes());
                self.model.names.remove(&name);
            }
            7..=10 => self.unbind(random),
            11 => self.router.forget(|set: SetId| set.is_multiple_of(2)),
            _ => {
                let bound = self.random_bound(random);
                self.bind(bound);
            }
        }
        assert_eq!(self.router.bindings_len(), self.model.bindings.len());
    }

    fn check(&mut self, random: &mut Random) {
        let key = random_key(random);
        let content = Content::random(random, key);
        let (headers, value) = content.bytes(random);
        let message = Message { routing_key: content.key.as_bytes(), headers: &headers, value: &value };
        for exchange in 0..=EXCHANGES as u32 {
            let expected = self.model.route(exchange, &content, &message);
            for _ in 0..2 {
                let set = self.router.route(exchange, &message);
                let found = self.router.targets(set);
                assert_eq!(found, expected, "exchange {exchange}, {content:?}, {:#?}", self.model.bindings);
            }
        }
    }
}

#[test]
fn every_message_goes_where_the_model_says() {
    for seed in [0x726f_7574_6531, 0x726f_7574_6532, 0x726f_7574_6533] {
        let mut random = Random::seeded(seed);
        for _ in 0..4 {
            let mut pair = Pair { router: Router::new(RouteLimits::default()), model: Model::default() };
            for _ in 0..4 * EXCHANGES {
                pair.declare(&mut random);
            }
            for _ in 0..80 {
                pair.change(&mut random);
                // Several, because what one leaves in the cache may be wrong for the next.
                for _ in 0..3 {
                    pair.check(&mut random);
                }
            }
        }
    }
}
