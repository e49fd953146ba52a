use serde_json::{Value as Json, json};

use super::{FUEL_MAX, Message, OUTPUT_BYTES_MAX, Rendered, TemplateError, TemplateFile, render};
use crate::plan::MessageTemplate;
use crate::project::Medium;

fn text(text: &str) -> MessageTemplate {
    MessageTemplate { text: Some(text.to_owned()), ..MessageTemplate::default() }
}

fn mail(body: &str, params: &Json) -> Result<String, TemplateError> {
    render(&text(body), Message::Email, params).map(|mail| mail.text.expect("a text"))
}

#[test]
fn values_print_as_json() {
    let params = json!({"s": "a<b", "t": true, "n": null, "i": 7, "f": 1.5, "big": 9_007_199_254_740_993_i64,
        "l": [1, "x", null], "o": {"b": true, "a": [1]}});
    let table = [
        ("{{ s }}", "a<b"),
        ("{{ t }} {{ false }} {{ not t }}", "true false false"),
        ("{{ n }}", "null"),
        ("{{ i }} {{ f }} {{ big }}", "7 1.5 9007199254740993"),
        ("{{ l }}", r#"[1,"x",null]"#),
        ("{{ o.b }} {{ o.a }}", "true [1]"),
        ("{{ [t, s] }}", r#"[true,"a<b"]"#),
        ("{% for x in l %}{{ loop.index }}={{ x }};{% endfor %}", "1=1;2=x;3=null;"),
        ("{{ missing | default('-') }}{% if missing is defined %}!{% endif %}", "-"),
        ("{% set y = i + 1 %}{{ y }}", "8"),
    ];
    for (body, expected) in table {
        assert_eq!(mail(body, &params).as_deref(), Ok(expected), "{body}");
    }
}

#[test]
fn html_is_escaped_and_text_is_not() {
    let template = MessageTemplate {
        text: Some("---\nsubject: \"{{ name }}\"\n---\n{{ name }}\n".to_owned()),
        html: Some("<b>{{ name }}</b> {{ list }}\n".to_owned()),
        sms: Some("{{ name }}".to_owned()),
    };
    let params = json!({"name": "<Ada & \"Co\">", "list": ["<"]});
    let rendered = render(&template, Message::Email, &params);
    let html = "<b>&lt;Ada &amp; &quot;Co&quot;&gt;</b> [&quot;&lt;&quot;]";
    let expected = Rendered {
        subject: Some("<Ada & \"Co\">".to_owned()),
        text: Some("<Ada & \"Co\">".to_owned()),
        html: Some(html.to_owned()),
    };
    assert_eq!(rendered, Ok(expected));
    let sms = render(&template, Message::Sms, &params).expect("it renders");
    assert_eq!(sms, Rendered { text: Some("<Ada & \"Co\">".to_owned()), ..Rendered::default() });
}

#[test]
fn a_short_message_falls_back_to_the_text_and_a_mail_does_not_fall_back() {
    let plain = render(&text("hello"), Message::Sms, &json!({})).expect("it renders");
    assert_eq!(plain.text.as_deref(), Some("hello"));
    let short = MessageTemplate { sms: Some("hello".to_owned()), ..MessageTemplate::default() };
    let error = render(&short, Message::Email, &json!({})).expect_err("no file for a mail");
    assert_eq!((error.medium, error.message.contains(".txt")), (None, true));
}

#[test]
fn what_is_missing_is_an_error_with_its_place() {
    let body = "---\nsubject: hello\n---\nHi,\nyou are {{ user.name }} of {{ team }}.\n";
    let table = [
        (json!({"user": {"name": "Ada"}}), "team"),
        (json!({"user": {}, "team": "x"}), "user.name"),
        (json!({"team": "x"}), "user.name"),
    ];
    for (params, written) in table {
        let error = mail(body, &params).expect_err("something is missing");
        let range = error.range.clone().expect("a place");
        assert_eq!((error.line, &body[range]), (5, written), "{error}");
        assert!(error.message.contains(written) && error.message.contains("not defined"), "{error}");
    }
    let error = mail("---\nparams:\n  a: string\nsubject: \"{{ b }}\"\n---\n", &json!({})).expect_err("b is missing");
    assert_eq!((error.line, error.message.as_str()), (4, "`b` is not defined"));
}

#[test]
fn optional_parameters_are_null_when_absent() {
    let body = "---\nparams:\n  name?: string\n---\n{{ name or 'you' }}";
    assert_eq!(mail(body, &json!({})).as_deref(), Ok("you"));
    assert_eq!(mail(body, &json!({"name": "Ada"})).as_deref(), Ok("Ada"));
}

#[test]
fn front_matter_is_read_or_its_mistake_is_shown() {
    let file = "---\r\nsubject: 'Re: {{ a }}'\r\nparams:\r\n  a: string\r\n  b?: int[]\r\n---\r\nbody {{ c }}\r\n";
    let parsed = TemplateFile::parse(Medium::Text, file).expect("it reads");
    assert_eq!(parsed.body, "body {{ c }}\r\n");
    assert_eq!((parsed.body_line, &file[parsed.body_at..]), (7, parsed.body));
    assert_eq!(parsed.subject.as_ref().map(|subject| subject.text.as_str()), Some("Re: {{ a }}"));
    let params: Vec<_> = parsed.params.iter().flatten().map(|param| (param.name.as_str(), param.optional)).collect();
    assert_eq!(params, [("a", false), ("b", true)]);
    assert_eq!(parsed.reads().into_iter().collect::<Vec<_>>(), ["a", "c"]);

    let table = [
        ("---\nsubject: x\n", 1, "---"),
        ("---\nsubject: [x]\n---\n", 2, "subject: [x]"),
        ("---\nsubject: x\nparams: [x]\n---\n", 3, "params: [x]"),
        ("---\nsubjekt: x\n---\n", 2, "subjekt: x"),
        ("---\na: b: c\n---\n", 2, "a: b: c"),
        ("---\n- a\n---\n", 1, "---\n- a\n---\n"),
        ("---\nsubject: '{{ a'\n---\n", 2, "subject: '{{ a'"),
        ("ok\n{{ a b }}\n", 2, "b"),
        ("---\n---\n\n{% if %}\n", 4, "%}"),
        ("{% include 'other.txt' %}", 1, "include"),
    ];
    for (file, line, written) in table {
        let error = TemplateFile::parse(Medium::Text, file).expect_err(file);
        let range = error.range.clone().unwrap_or(0..0);
        assert_eq!((error.line, &file[range]), (line, written), "{file}: {error}");
    }
    for file in ["", "--- \n---\n", "-- no front matter", "---\n# nothing\n---\nbody"] {
        assert!(TemplateFile::parse(Medium::Text, file).is_ok(), "{file}");
    }
}

#[test]
fn reads_are_the_names_from_outside() {
    let table = [
        ("{{ a.b }} {{ c['d'] }} {{ e() }}", "a c e"),
        ("{% for x in xs %}{{ x.y }}{{ loop.index }}{{ z }}{% endfor %}", "xs z"),
        ("{% set a = b %}{{ a }}{% if c is defined %}{{ c | default(d) }}{% endif %}", "b c d"),
        ("{% for i in range(3) %}{{ i }}{% endfor %}{{ dict(a=1) }}", ""),
        ("{% macro m(x) %}{{ x }}{{ y }}{% endmacro %}{{ m(1) }}", "y"),
    ];
    for (body, expected) in table {
        let file = TemplateFile::parse(Medium::Text, body).expect(body);
        assert_eq!(file.reads().into_iter().collect::<Vec<_>>().join(" "), expected, "{body}");
    }
}

#[test]
fn rendering_is_bounded() {
    let full = "x".repeat(OUTPUT_BYTES_MAX);
    assert_eq!(mail("{{ a }}", &json!({"a": full})).map(|text| text.len()), Ok(OUTPUT_BYTES_MAX));
    let error = mail("{{ a }}!", &json!({"a": full})).expect_err("too long");
    assert_eq!(error.message, format!("the text is longer than {OUTPUT_BYTES_MAX} bytes"));

    let turns =
        |count: u64| format!("{{% for i in range(1000) %}}{{% for j in range({count}) %}}{{% endfor %}}{{% endfor %}}");
    assert!(mail(&turns(10), &json!({})).is_ok());
    let error = mail(&turns(FUEL_MAX / 1000), &json!({})).expect_err("too much work");
    assert_eq!(error.message, format!("the template takes more than {FUEL_MAX} steps"));
}
