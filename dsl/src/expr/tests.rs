//! Limits on both sides, and properties that hold for every text and every tree.

use std::fmt::Write;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::ast::{Arg, At, Comparator, Lambda, Link, LinkKind, Method, Name, Operator, Term, TermKind};
use super::*;
use crate::source::FileId;
use crate::time::Period;
use crate::value::{Object, VALUE_DEPTH_MAX};

static LONG: LazyLock<Value> = LazyLock::new(|| (0..60_000).map(Value::Int).collect::<Vec<_>>().into());
static HALF: LazyLock<Value> = LazyLock::new(|| "x".repeat(RESULT_BYTES_MAX / 2).into());

/// Gives every name a value of some type.
struct Anything;

impl Scope for Anything {
    fn root(&self, name: &str) -> Option<Value> {
        match name {
            "event" => Some(Object::from_iter([("a".to_owned(), Value::Int(1))]).into()),
            "list" => Some((0..5).map(Value::Int).collect::<Vec<_>>().into()),
            "long" => Some(LONG.clone()),
            "half" => Some(HALF.clone()),
            "deep" => Some(nested(VALUE_DEPTH_MAX)),
            _ => None,
        }
    }

    fn step(&self, _: &str) -> Option<Value> {
        None
    }

    fn var(&self, name: &str) -> Option<Value> {
        Some(Value::from(name))
    }

    fn secret(&self, _: &str) -> Option<Value> {
        None
    }

    fn now(&self) -> Time {
        Time(0)
    }

    fn chance(&self) -> [u8; 32] {
        [7; 32]
    }
}

fn nested(levels: usize) -> Value {
    (0..levels).fold(Value::Null, |inner, _| vec![inner].into())
}

fn parse(text: &str) -> Result<Expr, ParseError> {
    Expr::parse(text, Span { file: FileId(0), start: 0, end: text.len() }, true)
}

/// The value, or the code of what went wrong.
fn eval(text: &str) -> Result<Value, &'static str> {
    match parse(text) {
        Ok(expr) => expr.eval(&Anything).map_err(|error| error.code),
        Err(error) => Err(error.code.as_str()),
    }
}

/// Runs with the stack of a small thread, so that a test of nesting cannot pass by the size of the main one.
fn on_small_stack(run: impl FnOnce() + Send + 'static) {
    const STACK_BYTES: usize = 1536 * 1024;
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap();
    thread.join().unwrap();
}

#[test]
fn an_expression_has_at_most_16_kib() {
    let text = format!("\"{}\"", "x".repeat(EXPR_BYTES_MAX - 2));
    assert!(parse(&text).is_ok());
    let error = parse(&format!("{text} ")).unwrap_err();
    assert_eq!((error.code, error.span.end), (Code::EXPRESSION, EXPR_BYTES_MAX + 1));
}

#[test]
fn an_expression_nests_at_most_64_levels() {
    on_small_stack(|| {
        for (open, inner, close) in [
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("{a = ", "1", "}"),
            ("list.get(", "1", ")"),
            ("list.map(x => ", "1", ")"),
            ("list[", "1", "]"),
            ("if true then ", "1", " else 2"),
            ("-(", "1", ")"),
            ("not (", "true", ")"),
            ("if (true) then 1 else ", "1", ""),
        ] {
            let nest = |levels: usize| {
                // Some wrap each level in parentheses of their own.
                format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
            };
            let most = EXPR_DEPTH_MAX;
            let deepest = nest(most - usize::from(open.starts_with("if (")));
            let expr = parse(&deepest).unwrap_or_else(|error| panic!("{open}: {error}"));
            assert_eq!(parse(&expr.to_string()).unwrap().to_string(), expr.to_string());
            let _ = expr.eval(&Anything);
            let error = parse(&nest(most + 1)).unwrap_err();
            assert!(error.message.contains("nests deeper"), "{open}: {error}");
            // Far beyond the limit nothing grows with the text.
            assert!(parse(&nest(1000)).is_err());
        }
    });
}

#[test]
fn long_rows_of_operators_do_not_nest() {
    on_small_stack(|| {
        for (text, value) in [
            ("1".to_owned() + &"+1".repeat(8_000), Value::Int(8_001)),
            ("true".to_owned() + &" and true".repeat(1_800), Value::Bool(true)),
            ("null".to_owned() + &"??null".repeat(2_700), Value::Null),
            ("\"a\"".to_owned() + &".trim()".repeat(2_300), Value::from("a")),
            ("steps.x".to_owned() + &"?.a".repeat(5_000), Value::Null),
        ] {
            let expr = parse(&text).unwrap_or_else(|error| panic!("{}: {error}", &text[..20]));
            assert_eq!(expr.eval(&Anything), Ok(value));
            // Printed with spaces it may be too long to be read again.
            assert!(expr.to_string().len() >= text.len());
        }
    });
}

#[test]
fn an_evaluation_takes_at_most_100_000_steps() {
    // The path, its base and the access, and two steps for each item.
    let most = (EVAL_STEPS_MAX - 3) / 2;
    assert!(eval(&format!("long.slice(0, {most}).length()")).is_ok());
    let list: Value = (0..60_000).map(Value::Int).collect::<Vec<_>>().into();
    let run = |count: usize| {
        struct Items(Value);
        impl Scope for Items {
            fn root(&self, _: &str) -> Option<Value> {
                Some(self.0.clone())
            }
            fn step(&self, _: &str) -> Option<Value> {
                None
            }
            fn var(&self, _: &str) -> Option<Value> {
                None
            }
            fn secret(&self, _: &str) -> Option<Value> {
                None
            }
            fn now(&self) -> Time {
                Time(0)
            }
            fn chance(&self) -> [u8; 32] {
                [0; 32]
            }
        }
        let items = list.as_list().unwrap()[..count].to_vec();
        parse("items.all(x => true)").unwrap().eval(&Items(items.into())).map_err(|error| error.code)
    };
    assert_eq!(run(most), Ok(Value::Bool(true)));
    assert_eq!(run(most + 1), Err("expr.limit"));
}

#[test]
fn a_text_has_at_most_1_mib() {
    // Two bytes of the result are its quotes.
    assert!(eval("half.slice(2) + half").is_ok());
    assert_eq!(eval("half.slice(1) + half"), Err("expr.limit"));
    assert_eq!(eval("(half + half).length()"), Ok(Value::Int(RESULT_BYTES_MAX as i64)));
    assert_eq!(eval("(half + half + \"x\").length()"), Err("expr.limit"));
}

#[test]
fn a_result_nests_at_most_64_levels() {
    assert!(eval("deep").is_ok());
    assert_eq!(eval("[deep]"), Err("expr.limit"));
    assert!(eval("[deep[0]]").is_ok());
    assert_eq!(eval("list.slice(0, 1).map(x => {a = deep[0]})"), Err("expr.limit"));
}

#[test]
fn what_is_built_on_the_way_nests_at_most_64_levels() {
    on_small_stack(|| {
        let wrap = |levels: usize| format!("[1].map(x => {}x{})", "[".repeat(levels), "]".repeat(levels));
        assert!(parse(&wrap(VALUE_DEPTH_MAX - 2)).is_ok());
        assert!(parse(&format!("{}.length()", wrap(60))).is_ok());
        let expr = parse(&format!("{}.map(x => [[[x]]]).length() + 1", wrap(60))).unwrap();
        assert_eq!(expr.eval(&Anything), Ok(Value::Int(2)));
        for text in ["", " == 1", " ?? 1", ".first() in []"] {
            assert!(parse(&format!("{}.map(x => [[[[x]]]]){text}", wrap(60))).is_err(), "{text}");
        }
        let chain = |count: usize| format!("[1]{}", ".map(x => [x])".repeat(count));
        assert!(parse(&chain(63)).is_ok());
        assert!(parse(&chain(64)).unwrap_err().message.contains("builds lists and objects"));
        assert!(parse(&format!("{}.length() == 1", chain(1000))).is_err());
        // Methods that put nothing around their items may follow one another.
        assert!(parse(&format!("[1]{}", ".filter(x => true).map(x => x).reverse()".repeat(200))).is_ok());
        // So may those that do, as far as it goes.
        assert!(parse(&format!("[1]{}", ".chunk(2)".repeat(63))).is_ok());
        assert!(parse(&format!("[1]{}", ".chunk(2)".repeat(64))).is_err());
        assert!(parse(&format!("[1]{}", ".group_by(x => x).map(g => g.items)".repeat(20))).is_ok());
    });
}

#[test]
fn nothing_grows_beyond_the_limits_on_the_way() {
    let doubled = format!("[1]{}", ".map(y => [y, y])".repeat(60));
    for text in [
        // Values that share their parts are small in memory and huge when written.
        doubled.clone(),
        format!("{doubled}.to_json()"),
        format!("{doubled} == {doubled}"),
        format!("[{doubled}, {doubled}].unique()"),
        format!("[{doubled}].without({doubled})"),
        format!("{doubled} in [{doubled}]"),
        "list.map(x => half)".to_owned(),
        "list.map(x => half).join(\",\")".to_owned(),
        "half.replace(\"x\", half)".to_owned(),
        "half.replace(\"\", \"ab\")".to_owned(),
        "half.url_encode().url_encode().replace(\"x\", \"%%%\")".to_owned(),
        "long.map(x => half.length())".to_owned(),
        "long.map(x => half.upper())".to_owned(),
        "long.map(x => half.sha256())".to_owned(),
        "long.map(x => half.matches(\"y$\"))".to_owned(),
        "long.map(x => half == half + \"\")".to_owned(),
        "long.map(x => half < half)".to_owned(),
        "long.map(x => long.first())".to_owned() + &".map(x => x)".repeat(9),
        "long.map(x => long)".to_owned() + ".flatten()",
        "long.map(x => long.reverse())".to_owned(),
        "long.map(x => long + long)".to_owned(),
        "long.map(x => x in long)".to_owned(),
        "long.map(x => {a = half}.merge({b = half}).to_json())".to_owned(),
        "half.split(\"\")".to_owned(),
        "half.split(\"x\")".to_owned(),
    ] {
        assert_eq!(eval(&text), Err("expr.limit"), "{}", &text[..text.len().min(60)]);
    }
}

#[test]
fn references_say_what_is_read_and_where() {
    let text = "event.data.a?.b[0].c + steps.s.out.map(x => x.y + vars.v + reg.id) + secrets.k + foo(it) ?? bar.fooo()";
    let expr = parse(text).unwrap();
    let mut shown = String::new();
    for reference in expr.references() {
        let at = |span: Span| &text[span.start..span.end];
        assert_eq!(at(reference.span), reference.name);
        let path: Vec<_> = reference
            .path
            .iter()
            .map(|access| {
                assert_eq!(at(access.span), access.name);
                format!("{}{}", if access.safe { "?." } else { "." }, access.name)
            })
            .collect();
        let more = if reference.more { " …" } else { "" };
        let known = if reference.known { "" } else { " unknown" };
        writeln!(
            shown,
            "{:?} {}{}{more}{known} in `{}`",
            reference.kind,
            reference.name,
            path.concat(),
            at(reference.whole)
        )
        .unwrap();
    }
    let expected = "\
Root event.data.a?.b … in `event`
Step s.out … in `steps.s`
Method map in `.map(x => x.y + vars.v + reg.id)`
Var v in `vars.v`
Root reg.id in `reg`
Secret k in `secrets.k`
Function foo unknown in `foo`
Root it in `it`
Root bar … in `bar`
Method fooo unknown in `.fooo()`
";
    assert_eq!(shown, expected);
}

#[test]
fn a_place_that_is_not_exact_is_the_whole_value() {
    let span = Span { file: FileId(3), start: 10, end: 50 };
    let error = Expr::parse("a &&\n b", span, false).unwrap_err();
    assert_eq!((error.span, error.at), (span, At { start: 2, end: 4 }));
    let expr = Expr::parse("1 / 0", span, false).unwrap();
    assert_eq!(expr.eval(&Anything).unwrap_err().span, span);
    let expr = Expr::parse("1 + 1 / 0", Span { file: FileId(3), start: 10, end: 19 }, true).unwrap();
    assert_eq!(expr.eval(&Anything).unwrap_err().span, Span { file: FileId(3), start: 14, end: 19 });
}

#[test]
fn every_function_says_what_it_is() {
    let mut lines = String::new();
    for function in globals() {
        writeln!(lines, "{function}").unwrap();
        assert!(global(function.name).is_some_and(|found| std::ptr::eq(found, function)));
    }
    for receiver in Receiver::ALL {
        for function in receiver.methods() {
            writeln!(lines, "{}.{function}", receiver.words()).unwrap();
            assert!(function.doc.ends_with('.'), "{function}");
            let set = method(function.name).unwrap();
            assert!(set.get(receiver).is_some_and(|found| std::ptr::eq(found, function)), "{function}");
            assert!(set.receivers().any(|has| has == receiver));
            assert!(method_names().any(|name| name == function.name));
        }
    }
    assert_eq!(lines.lines().count(), 7 + 3 + 20 + 25 + 8 + 5 + 11 + 4, "{lines}");
    assert!(method("now").is_none() && global("length").is_none());
}

/// Pieces of expressions, right and wrong.
fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "1",
        "2.5",
        "0",
        "1h30m",
        "5d",
        "@2025-10-01T09:00:00Z",
        "\"a\"",
        "'b\\n'",
        "null",
        "true",
        "false",
        "event",
        ".a",
        "?.a",
        "list",
        "list.map(x => x)",
        "x",
        "vars.v",
        "steps.s",
        "secrets.k",
        "[",
        "]",
        "(",
        ")",
        "{",
        "}",
        "{a = 1}",
        "[1, 2]",
        ",",
        "=",
        "=>",
        "x =>",
        "(x, i) =>",
        "+",
        "-",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "in",
        "not in",
        "and",
        "or",
        "not",
        "??",
        "if",
        "then",
        "else",
        "now()",
        "div(",
        ".length()",
        ".to_string()",
        ".slice(",
        ".matches(\"a\")",
        "&&",
        "!",
        "?",
        ":",
        "é",
        "😀",
        "\"",
        "'",
        "\\",
        "$",
        "01",
        "1.",
        " ",
        "\n",
        ".group_by(x => ",
        ".add_days(1, \"Europe/Berlin\")",
    ])
}

proptest! {
    #[test]
    fn any_text_is_an_expression_or_an_error_inside_of_it(text in ".{0,40}") {
        check_any(&text);
    }

    #[test]
    fn any_row_of_tokens_is_an_expression_or_an_error_inside_of_it(tokens in prop::collection::vec(token(), 0..14)) {
        check_any(&tokens.join(" "));
        check_any(&tokens.concat());
    }

    #[test]
    fn every_tree_prints_as_a_text_that_parses_to_it(term in any_term()) {
        let text = term.to_string();
        let expr = parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
        prop_assert_eq!(shape(expr.term()), shape(&term), "{}", text);
        prop_assert_eq!(expr.to_string(), text);
        let _ = expr.eval(&Anything);
    }
}

fn check_any(text: &str) {
    match parse(text) {
        Ok(expr) => {
            let printed = expr.to_string();
            let again = parse(&printed).unwrap_or_else(|error| panic!("`{text}` printed `{printed}`: {error}"));
            assert_eq!(shape(again.term()), shape(expr.term()));
            if let Err(error) = expr.eval(&Anything) {
                assert!(text.get(error.span.start..error.span.end).is_some(), "{text}: {error:?}");
                assert!(error.code.starts_with("expr."));
            }
        }
        Err(error) => {
            assert!(text.get(error.span.start..error.span.end).is_some(), "{text}: {error:?}");
            assert!(!error.message.is_empty() && !error.message.ends_with('.'), "{error:?}");
        }
    }
}

fn term(kind: TermKind) -> Term {
    Term { at: At::default(), kind }
}

fn name(text: &str) -> Name {
    Name { text: text.into(), at: At::default() }
}

fn literal() -> impl Strategy<Value = Term> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("doubles in values are finite", |number| number.is_finite()).prop_map(Value::Number),
        "(.|[\"'\\\\$}\n\u{7f}]){0,6}".prop_map(Value::from),
        (Time::MIN.0..=Time::MAX.0).prop_map(|millis| Value::Time(Time(millis))),
        any::<i64>().prop_map(|millis| Value::Period(Period(millis))),
    ];
    value.prop_map(|value| term(TermKind::Literal(value)))
}

fn any_term() -> impl Strategy<Value = Term> {
    let leaf = prop_oneof![
        literal(),
        "[a-d]|items|note".prop_map(|text| term(TermKind::Root(name(&text)))),
        "[a-c]_[0-9]".prop_map(|text| term(TermKind::Step(name(&text)))),
        "[a-c]".prop_map(|text| term(TermKind::Var(name(&text)))),
        "[a-c]".prop_map(|text| term(TermKind::Secret(name(&text)))),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        let terms = prop::collection::vec(inner.clone(), 2..4);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(list),
            prop::collection::btree_map("[a-z]{1,2}|[a-z$]{0,2} .", inner.clone(), 0..3).prop_map(|fields| {
                term(TermKind::Object(fields.into_iter().map(|(key, value)| (name(&key), value)).collect()))
            }),
            prop::array::uniform3(inner.clone()).prop_map(|terms| term(TermKind::If(Box::new(terms)))),
            terms.clone().prop_map(|terms| term(TermKind::Or(terms))),
            terms.clone().prop_map(|terms| term(TermKind::And(terms))),
            terms.prop_map(|terms| term(TermKind::Coalesce(terms))),
            inner.clone().prop_map(|inner| term(TermKind::Not(Box::new(inner)))),
            inner.clone().prop_map(|inner| term(TermKind::Negate(Box::new(inner)))),
            (comparator(), pair).prop_map(|(comparator, (left, right))| {
                term(TermKind::Compare(comparator, Box::new([left, right])))
            }),
            (inner.clone(), any::<bool>(), prop::collection::vec((any::<prop::sample::Index>(), inner.clone()), 1..3))
                .prop_map(|(first, additive, rest)| arithmetic(first, additive, rest)),
            (inner.clone(), prop::collection::vec(link(inner.clone()), 1..3))
                .prop_map(|(base, links)| term(TermKind::Path(Box::new(base), links))),
            (inner.clone()).prop_map(|arg| term(TermKind::Call {
                name: name("duration"),
                function: global("duration"),
                args: vec![Arg::Value(arg)],
            })),
        ]
    })
}

fn list(items: Vec<Term>) -> Term {
    term(TermKind::List { items, constant: None })
}

fn arithmetic(first: Term, additive: bool, rest: Vec<(prop::sample::Index, Term)>) -> Term {
    const ADDITIVE: [Operator; 2] = [Operator::Add, Operator::Subtract];
    const MULTIPLICATIVE: [Operator; 3] = [Operator::Multiply, Operator::Divide, Operator::Remainder];
    let rest = rest
        .into_iter()
        .map(|(choice, right)| (if additive { *choice.get(&ADDITIVE) } else { *choice.get(&MULTIPLICATIVE) }, right));
    term(TermKind::Arithmetic(Box::new(first), rest.collect()))
}

fn comparator() -> impl Strategy<Value = Comparator> {
    prop::sample::select(vec![
        Comparator::Equal,
        Comparator::NotEqual,
        Comparator::Less,
        Comparator::LessOrEqual,
        Comparator::Greater,
        Comparator::GreaterOrEqual,
        Comparator::In,
        Comparator::NotIn,
    ])
}

fn link(inner: impl Strategy<Value = Term> + Clone) -> impl Strategy<Value = Link> {
    let method = |called: &str, args: Vec<Arg>| {
        LinkKind::Method(Method { name: name(called), set: method(called), args, regex: None })
    };
    let kind = prop_oneof![
        "[a-c]".prop_map(|text| LinkKind::Member(name(&text))),
        inner.clone().prop_map(LinkKind::Index),
        inner.clone().prop_map(move |arg| method("without", vec![Arg::Value(arg)])),
        (inner, prop::collection::btree_set("[p-r]", 1..3)).prop_map(move |(body, params)| {
            let params = params.iter().map(|param| name(param)).collect();
            method("map", vec![Arg::Lambda(Lambda { at: At::default(), params, body })])
        }),
    ];
    (kind, any::<bool>()).prop_map(|(kind, safe)| {
        let safe = safe && !matches!(kind, LinkKind::Index(_));
        Link { at: At::default(), safe, kind }
    })
}

/// The tree without its places, and with what parsing adds left out.
fn shape(term: &Term) -> String {
    let all = |terms: &[Term]| terms.iter().map(shape).collect::<Vec<_>>().join(" ");
    let arg = |arg: &Arg| match arg {
        Arg::Value(term) => shape(term),
        Arg::Lambda(lambda) => {
            let params: Vec<_> = lambda.params.iter().map(|param| &*param.text).collect();
            format!("({} => {})", params.join(","), shape(&lambda.body))
        }
    };
    let args = |args: &[Arg]| args.iter().map(arg).collect::<Vec<_>>().join(" ");
    match &term.kind {
        // A negated zero is the zero of the other sign, as a literal and as an operation.
        TermKind::Literal(value) => format!("{value:?}"),
        TermKind::List { items, .. } => format!("[{}]", all(items)),
        TermKind::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{:?}={}", name.text, shape(value))).collect();
            format!("{{{}}}", fields.join(" "))
        }
        TermKind::If(terms) => format!("(if {})", all(&**terms)),
        TermKind::Or(terms) => format!("(or {})", all(terms)),
        TermKind::And(terms) => format!("(and {})", all(terms)),
        TermKind::Not(inner) => format!("(not {})", shape(inner)),
        TermKind::Compare(comparator, terms) => format!("({comparator:?} {})", all(&**terms)),
        TermKind::Coalesce(terms) => format!("(?? {})", all(terms)),
        TermKind::Arithmetic(first, rest) => {
            let rest: Vec<_> = rest.iter().map(|(operator, right)| format!("{operator:?} {}", shape(right))).collect();
            format!("({} {})", shape(first), rest.join(" "))
        }
        TermKind::Negate(inner) => format!("(- {})", shape(inner)),
        TermKind::Root(name) | TermKind::Param(name, _) => name.text.to_string(),
        TermKind::Step(name) => format!("steps.{}", name.text),
        TermKind::Var(name) => format!("vars.{}", name.text),
        TermKind::Secret(name) => format!("secrets.{}", name.text),
        TermKind::Call { name, args: given, .. } => format!("({} {})", name.text, args(given)),
        TermKind::Path(base, links) => {
            let mut text = shape(base);
            for link in links {
                let dot = if link.safe { "?." } else { "." };
                match &link.kind {
                    LinkKind::Member(name) => write!(text, "{dot}{}", name.text).unwrap(),
                    LinkKind::Index(index) => write!(text, "[{}]", shape(index)).unwrap(),
                    LinkKind::Method(method) => {
                        write!(text, "{dot}({} {})", method.name.text, args(&method.args)).unwrap();
                    }
                }
            }
            format!("<{text}>")
        }
    }
}

#[test]
fn an_expression_is_shared_when_cloned() {
    let expr = parse("1 + 1").unwrap();
    assert!(Arc::ptr_eq(&expr.inner, &expr.clone().inner));
}
