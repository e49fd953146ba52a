//! An expression that the checks let pass never fails with a type error, whatever values it meets.
//!
//! Expressions are made up by type, from every operator and every function, with a wrong part now and then. Those
//! without a finding are evaluated with values that fit the declared types. They may fail as the language says (a
//! division by zero, an index out of range), but not because something is null or of another type.

#[path = "../../tests/support/campaign.rs"]
mod campaign;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use wf_dsl::expr::{Expr, Function, Param, Presence, Receiver, Scope, Sig, globals};
use wf_dsl::{Catalog, InputFile, Object, Project, ProjectInput, Span, Time, Value};

/// What the expressions read; each field has a type of its own.
const DATA: &str = "
  i: int
  n: number
  s: string
  b: bool
  t: timestamp
  d: duration
  li: int[]
  ls: string[]
  o:
    x: int
    y?: string
  e: [red, green]
  ms?: string
  mi?: int
  mo?:
    x: int
  os[]:
    k: string
    v: int
";

/// The types that expressions are made for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ty {
    Bool,
    Int,
    Number,
    String,
    Time,
    Period,
    Ints,
    Strings,
    Object,
    Objects,
}

const TYPES: [Ty; 10] =
    [Ty::Bool, Ty::Int, Ty::Number, Ty::String, Ty::Time, Ty::Period, Ty::Ints, Ty::Strings, Ty::Object, Ty::Objects];

/// Makes up expressions from a stream of bytes.
struct Maker<'b> {
    bytes: std::slice::Iter<'b, u8>,
    /// The parameters of the lambdas around, with the types of their values.
    params: Vec<(String, Ty)>,
}

impl Maker<'_> {
    fn below(&mut self, end: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % end
    }

    fn pick<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len())]
    }

    fn make(&mut self, wanted: Ty, depth: usize) -> String {
        // One part in sixteen is of a type that is not wanted.
        let wanted = if self.below(16) == 0 { TYPES[self.below(TYPES.len())] } else { wanted };
        self.make_exactly(wanted, depth)
    }

    fn make_exactly(&mut self, wanted: Ty, depth: usize) -> String {
        if depth == 0 {
            return self.leaf(wanted);
        }
        match self.below(8) {
            0 => {
                let parts =
                    [self.make(Ty::Bool, depth - 1), self.make(wanted, depth - 1), self.make(wanted, depth - 1)];
                format!("(if {} then {} else {})", parts[0], parts[1], parts[2])
            }
            1 | 2 => self.operator(wanted, depth - 1),
            3..=5 => self.method(wanted, depth - 1).unwrap_or_else(|| self.leaf(wanted)),
            6 => self.nullable(wanted, depth - 1),
            _ => self.leaf(wanted),
        }
    }

    fn leaf(&mut self, wanted: Ty) -> String {
        let fitting: Vec<String> =
            self.params.iter().filter(|(_, ty)| *ty == wanted).map(|(name, _)| name.clone()).collect();
        if !fitting.is_empty() && self.below(2) == 0 {
            return fitting[self.below(fitting.len())].clone();
        }
        let texts: &[&str] = match wanted {
            Ty::Bool => &["event.data.b", "true", "false", "event.data.e == 'red'", "event.data.ms == null"],
            Ty::Int => &["event.data.i", "0", "7", "-3", "event.data.o.x", "event.data.li.length()", "vars.count"],
            Ty::Number => &["event.data.n", "1.5", "-0.25", "event.data.i / 2"],
            Ty::String => &["event.data.s", "'a'", "''", "event.data.e", "run.id", "event.name", "event.data.s + 'x'"],
            Ty::Time => &["event.data.t", "now()", "@2026-06-01T00:00:00Z", "event.ts", "run.started_at"],
            Ty::Period => &["event.data.d", "1h30m", "0s", "event.data.t - now()"],
            Ty::Ints => &["event.data.li", "[1, 2, 3]", "event.data.os.map(o => o.v)"],
            Ty::Strings => &["event.data.ls", "['a', 'b']", "event.data.os.map(o => o.k)", "event.data.o.keys()"],
            Ty::Object => &["event.data.o", "{x = 1, y = 'a'}", "{k = event.data.s, v = event.data.i}"],
            Ty::Objects => &["event.data.os", "[{k = 'a', v = 1}]", "event.data.os.filter(o => o.v > 1)"],
        };
        self.pick(texts).to_owned()
    }

    fn operator(&mut self, wanted: Ty, depth: usize) -> String {
        let (left, operator, right) = match wanted {
            Ty::Bool => match self.below(5) {
                0 => return format!("(not {})", self.make(Ty::Bool, depth)),
                1 => (Ty::Bool, self.pick(&["and", "or"]), Ty::Bool),
                2 => {
                    let ty = TYPES[self.below(TYPES.len())];
                    (ty, self.pick(&["==", "!="]), ty)
                }
                3 => {
                    let ty = [Ty::Int, Ty::Number, Ty::String, Ty::Time, Ty::Period][self.below(5)];
                    (ty, self.pick(&["<", "<=", ">", ">="]), ty)
                }
                _ => {
                    let (item, list) = [(Ty::Int, Ty::Ints), (Ty::String, Ty::Strings)][self.below(2)];
                    (item, self.pick(&["in", "not in"]), list)
                }
            },
            Ty::Int => (Ty::Int, self.pick(&["+", "-", "*", "%"]), Ty::Int),
            Ty::Number => (Ty::Number, self.pick(&["+", "-", "*", "/"]), Ty::Int),
            Ty::String => (Ty::String, "+", Ty::String),
            Ty::Time => (Ty::Time, self.pick(&["+", "-"]), Ty::Period),
            Ty::Period => match self.below(3) {
                0 => (Ty::Time, "-", Ty::Time),
                1 => (Ty::Period, "*", Ty::Int),
                _ => (Ty::Period, self.pick(&["+", "-"]), Ty::Period),
            },
            Ty::Ints | Ty::Strings | Ty::Objects => (wanted, "+", wanted),
            Ty::Object => return self.leaf(Ty::Object),
        };
        format!("({} {operator} {})", self.make(left, depth), self.make(right, depth))
    }

    /// Something that may be null, made safe in one of the ways of the language, or not at all.
    fn nullable(&mut self, wanted: Ty, depth: usize) -> String {
        let value = match wanted {
            Ty::Int => {
                self.pick(&["event.data.mi", "event.data.mo?.x", "event.data.li.first()", "event.data.li.max()"])
            }
            Ty::String => {
                self.pick(&["event.data.ms", "event.data.o.y", "event.data.ls.get(1)", "event.data.ms?.upper()"])
            }
            Ty::Object => "event.data.mo",
            _ => return self.make(wanted, depth),
        };
        let other = self.make(wanted, depth);
        match self.below(4) {
            0 => format!("(if {value} != null then {value} else {other})"),
            1 => format!("(if {value} == null then {other} else {value})"),
            2 => value.to_owned(),
            _ => format!("({value} ?? {other})"),
        }
    }

    /// A function or method whose result is of the wanted type.
    fn method(&mut self, wanted: Ty, depth: usize) -> Option<String> {
        let receivers = [
            (Ty::String, Receiver::String),
            (Ty::Ints, Receiver::List),
            (Ty::Strings, Receiver::List),
            (Ty::Objects, Receiver::List),
            (Ty::Object, Receiver::Object),
            (Ty::Int, Receiver::Number),
            (Ty::Number, Receiver::Number),
            (Ty::Time, Receiver::Time),
            (Ty::Period, Receiver::Period),
            (TYPES[self.below(TYPES.len())], Receiver::Any),
        ];
        let methods =
            receivers.iter().flat_map(|(ty, receiver)| receiver.methods().iter().map(|method| (Some(*ty), method)));
        let functions = globals().iter().map(|function| (None, function));
        let fitting: Vec<(Option<Ty>, &Function)> =
            methods.chain(functions).filter(|(receiver, function)| gives(function.result, *receiver, wanted)).collect();
        if fitting.is_empty() {
            return None;
        }
        let (receiver, function) = fitting[self.below(fitting.len())];
        let args = self.args(function.params, receiver, depth);
        Some(match receiver {
            // A method of another type may give anything, such as `get` of an object.
            Some(receiver) => format!("{}.{}({args})", self.make_exactly(receiver, depth), function.name),
            None => format!("{}({args})", function.name),
        })
    }

    fn args(&mut self, params: &[Param], receiver: Option<Ty>, depth: usize) -> String {
        let mut args = Vec::new();
        for param in params {
            if param.presence == Presence::Optional && self.below(2) == 0 {
                break;
            }
            args.push(self.arg(param.ty, receiver, depth));
        }
        args.join(", ")
    }

    fn arg(&mut self, sig: Sig, receiver: Option<Ty>, depth: usize) -> String {
        let item = match receiver {
            Some(Ty::Ints) => Ty::Int,
            Some(Ty::Strings) => Ty::String,
            _ => Ty::Object,
        };
        match sig {
            Sig::Bool => self.make(Ty::Bool, depth),
            Sig::Int => self.make(Ty::Int, depth),
            Sig::Number => self.make(Ty::Number, depth),
            Sig::String | Sig::Secret => self.make(Ty::String, depth),
            Sig::Time => self.make(Ty::Time, depth),
            Sig::Period => self.make(Ty::Period, depth),
            Sig::Object | Sig::Fields(_) => self.make(Ty::Object, depth),
            Sig::Receiver => self.make(receiver.unwrap_or(Ty::Int), depth),
            Sig::Item => self.make(item, depth),
            Sig::List(_) => self.make(Ty::Strings, depth),
            Sig::Lambda(result) => {
                let name = format!("p{}", self.params.len());
                self.params.push((name.clone(), item));
                let wanted = match *result {
                    Sig::Bool => Ty::Bool,
                    Sig::StringOrInt | Sig::Ordered => [Ty::Int, Ty::String][self.below(2)],
                    _ => TYPES[self.below(TYPES.len())],
                };
                let body = self.make(wanted, depth);
                self.params.pop();
                format!("{name} => {body}")
            }
            Sig::StringOrInt => {
                let ty = [Ty::Int, Ty::String][self.below(2)];
                self.make(ty, depth)
            }
            Sig::Pattern => "'[a-z]+'".to_owned(),
            Sig::Zone => self.pick(&["'UTC'", "'Europe/Berlin'"]).to_owned(),
            Sig::Unit => self.pick(&["'day'", "'week'", "'month'"]).to_owned(),
            Sig::Clock => "'09:00'".to_owned(),
            Sig::TimeFormat => "'%Y'".to_owned(),
            Sig::Any | Sig::Nullable(_) | Sig::Date | Sig::Mapped | Sig::Ordered => {
                let ty = TYPES[self.below(TYPES.len())];
                self.make(ty, depth)
            }
        }
    }
}

/// Whether a function's result may be of a type.
fn gives(sig: Sig, receiver: Option<Ty>, wanted: Ty) -> bool {
    match sig {
        Sig::Bool => wanted == Ty::Bool,
        Sig::Int => matches!(wanted, Ty::Int | Ty::Number),
        Sig::Number => wanted == Ty::Number,
        Sig::String => wanted == Ty::String,
        Sig::Time => wanted == Ty::Time,
        Sig::Period => wanted == Ty::Period,
        Sig::Receiver => receiver == Some(wanted),
        Sig::Item => matches!((receiver, wanted), (Some(Ty::Ints), Ty::Int) | (Some(Ty::Strings), Ty::String)),
        Sig::Nullable(inner) => gives(*inner, receiver, wanted),
        Sig::List(item) => match *item {
            Sig::String => wanted == Ty::Strings,
            Sig::Item | Sig::Mapped | Sig::List(_) => matches!(wanted, Ty::Ints | Ty::Strings | Ty::Objects),
            _ => false,
        },
        Sig::Mapped => true,
        // What may be anything is taken for what it is wanted as, and fails where it is something else.
        _ => false,
    }
}

/// A run's values, drawn from a few of each type.
struct Values {
    event: Value,
    run: Value,
}

impl Values {
    fn new(maker: &mut Maker<'_>) -> Values {
        let mut data = Object::new();
        let int = |maker: &mut Maker<'_>| Value::Int([0, 1, -1, 7, i64::MAX, i64::MIN][maker.below(6)]);
        let text = |maker: &mut Maker<'_>| Value::from(["", "a", "12", "grün", "1.5e3"][maker.below(5)]);
        let list = |maker: &mut Maker<'_>, one: &dyn Fn(&mut Maker<'_>) -> Value| {
            let count = maker.below(4);
            Value::from((0..count).map(|_| one(maker)).collect::<Vec<_>>())
        };
        let object = |fields: Vec<(&str, Value)>| {
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value));
            Value::from(fields.collect::<Object>())
        };
        data.insert("i".into(), int(maker));
        data.insert("n".into(), Value::Number([0.0, 1.5, -2.25, 1e300][maker.below(4)]));
        data.insert("s".into(), text(maker));
        data.insert("b".into(), Value::Bool(maker.below(2) == 0));
        data.insert("t".into(), Value::Time(Time([0, 1_780_272_000_000][maker.below(2)])));
        data.insert("d".into(), Value::Period(wf_dsl::Period([0, 5_400_000, -60_000][maker.below(3)])));
        data.insert("li".into(), list(maker, &int));
        data.insert("ls".into(), list(maker, &text));
        let (x, y) = (int(maker), text(maker));
        let optional = maker.below(2) == 0;
        data.insert("o".into(), object(if optional { vec![("x", x.clone())] } else { vec![("x", x), ("y", y)] }));
        data.insert("e".into(), Value::from(["red", "green"][maker.below(2)]));
        for name in ["ms", "mi", "mo"] {
            let x = int(maker);
            match (maker.below(3), name) {
                (0, _) => {}
                (1, _) => drop(data.insert(name.into(), Value::Null)),
                (_, "ms") => drop(data.insert(name.into(), text(maker))),
                (_, "mi") => drop(data.insert(name.into(), x)),
                _ => drop(data.insert(name.into(), object(vec![("x", x)]))),
            }
        }
        data.insert("os".into(), list(maker, &|maker| object(vec![("k", text(maker)), ("v", int(maker))])));
        let event = object(vec![
            ("name", "a.came".into()),
            ("id", "e1".into()),
            ("ts", Value::Time(Time(0))),
            ("data", data.into()),
        ]);
        let run = object(vec![
            ("id", "r1".into()),
            ("workflow", "w".into()),
            ("version", "v".into()),
            ("started_at", Value::Time(Time(0))),
            ("trigger", "event".into()),
        ]);
        Values { event, run }
    }
}

impl Scope for Values {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "event" => Some(self.event.clone()),
            "run" => Some(self.run.clone()),
            _ => None,
        }
    }

    fn step(&self, _: &str) -> Option<Value> {
        None
    }

    fn var(&self, name: &str) -> Option<Value> {
        (name == "count").then_some(Value::Int(3))
    }

    fn secret(&self, _: &str) -> Option<Value> {
        None
    }

    fn now(&self) -> Time {
        Time(1_780_272_000_000)
    }

    fn chance(&self) -> [u8; 32] {
        [7; 32]
    }
}

/// Whether the checks let an expression pass.
fn passes(text: &str, catalog: &Catalog) -> bool {
    let data = DATA.replace("\n", "\n    ");
    let scalar = text.replace('\'', "''");
    let file = format!(
        "workflow: w\nevents:\n  a.came:\n    external: true\n    data:{data}\ntriggers:\n  - event: a.came\nvars:\n  count: 3\nsteps:\n  - id: done\n    finish: '${{ {scalar} }}'\n"
    );
    let file = InputFile { path: "w.yaml".to_owned(), bytes: file.into_bytes(), named: true };
    let project = Project::read(ProjectInput { files: vec![file], ..ProjectInput::default() }, catalog);
    let errors: Vec<_> =
        project.findings.iter().filter(|finding| finding.severity == wf_dsl::Severity::Error).collect();
    for finding in &errors {
        assert!(project.sources.place(finding.primary.span).is_some(), "{text}: {}", finding.message);
        let of_expression = !matches!(finding.code.name(), "yaml" | "field" | "event" | "unknown_key");
        assert!(of_expression, "{text}: {} {}", finding.code, finding.message);
    }
    errors.is_empty()
}

#[test]
fn what_passes_never_fails_with_a_type_error() {
    let catalog = Catalog::default();
    let rounds = campaign::rounds("typed-expressions");
    let config =
        Config { cases: u32::try_from(rounds).unwrap_or(u32::MAX), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let passed = std::cell::Cell::new(0);
    let bytes = proptest::collection::vec(any::<u8>(), 0..160);
    let outcome = runner.run(&bytes, |bytes| {
        let mut maker = Maker { bytes: bytes.iter(), params: Vec::new() };
        let wanted = TYPES[maker.below(TYPES.len())];
        let text = maker.make(wanted, 3);
        if !passes(&text, &catalog) {
            return Ok(());
        }
        passed.set(passed.get() + 1);
        let expr = Expr::parse(&text, Span::NOWHERE, false).expect("it was parsed by the checks");
        // The same expression meets several sets of values.
        for turn in 0..4_u8 {
            let seed: Vec<u8> = bytes.iter().rev().map(|byte| byte.wrapping_mul(31).wrapping_add(turn * 77)).collect();
            let values = Values::new(&mut Maker { bytes: seed.iter(), params: Vec::new() });
            if let Err(error) = expr.eval(&values) {
                let allowed = ["expr.division", "expr.overflow", "expr.index", "expr.parse", "expr.limit"];
                prop_assert!(allowed.contains(&error.code), "{text}: {}: {error}", error.code);
            }
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let passed = passed.get();
    assert!(passed * 5 >= rounds, "only {passed} of {rounds} expressions passed the checks");
}

#[test]
fn the_values_fit_the_declared_types() {
    assert!(passes("event.data.i + event.data.o.x", &Catalog::default()));
    assert!(!passes("event.data.i + event.data.s", &Catalog::default()));
    assert!(!passes("event.data.mi + 1", &Catalog::default()));
}
