//! A secret's value is in nothing that is stored or shown.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::{Value as Json, json};
use wf_engine::{
    BoxFuture, Engine, Kind, Notice, Observer, Output, SledOptions, SledStore, StepContext, StepError, StepKind,
};

const SECRET: &str = "pa55 word/of+the&tests";

/// The shapes in which nobody may find it.
fn shapes() -> Vec<String> {
    let url = SECRET.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    });
    let url: String = url.collect();
    // At the end of a longer text base64 shows the secret in one of three ways.
    let shifted = |before: &str| {
        let text = STANDARD_NO_PAD.encode(format!("{before}{SECRET}"));
        text[4..text.len() - 4].to_owned()
    };
    vec![
        SECRET.to_owned(),
        url.to_lowercase(),
        url,
        STANDARD.encode(SECRET).trim_end_matches('=').to_owned(),
        URL_SAFE.encode(SECRET).trim_end_matches('=').to_owned(),
        shifted("u:")[2..].to_owned(),
        shifted("us:")[2..].to_owned(),
        shifted("use:")[2..].to_owned(),
    ]
}

/// A peer that tells everybody what it was told.
struct Gossip;

impl StepKind for Gossip {
    fn describe(&self) -> Kind {
        let about = json!({
            "name": "test.gossip", "body": {"type": "object"}, "output": {}, "errors": [], "effect": "keyed",
            "secret_fields": ["token"], "open_output": true,
        });
        serde_json::from_value(about).unwrap()
    }

    fn execute<'a>(&'a self, cx: &'a StepContext, args: Json) -> BoxFuture<'a, Result<Output, StepError>> {
        Box::pin(async move {
            let token = args["token"].as_str().expect("a token");
            assert_eq!(token, SECRET, "the kind itself gets the secret");
            let told = json!({
                "raw": format!("Bearer {token}"),
                "basic": STANDARD.encode(format!("user:{token}")),
                "basic_2": STANDARD.encode(format!("us:{token}")),
                "basic_3": STANDARD.encode(format!("use:{token}")),
                "url": shapes()[2],
                token: "as a key",
                "long": token.repeat(2_000),
            });
            match cx.step.as_ref() {
                "panics" => panic!("the token is {token}"),
                "fails" => Err(StepError { data: told, ..StepError::new("test.broken", format!("refused: {token}")) }),
                _ => Ok(Output { value: told }),
            }
        })
    }
}

const FLOW: &str = "
workflow: flow
vars:
  told: {type: any, value: null}
steps:
  - id: gives
    test.gossip: {token: '${ secrets.token }'}
    returns: any
  - id: keeps
    set: {told: '${ steps.gives }'}
  - id: fails
    test.gossip: {token: '${ secrets.token }'}
    retry: {max_attempts: 2, delay: 1ms, only: [test.broken]}
    catch:
      - errors: [test.broken]
        steps:
          - id: notes
            set: {told: '${ [vars.told, error] }'}
  - id: panics
    test.gossip: {token: '${ secrets.token }'}
    catch:
      - errors: [panic]
        steps:
          - id: gives_up
            fail: {code: told, message: '${ error.message }', data: '${ vars.told }'}
";

#[derive(Clone, Default)]
struct Overheard(Arc<Mutex<String>>);

impl Observer for Overheard {
    fn observe(&self, notice: &Notice<'_>) {
        self.0.lock().unwrap().push_str(&format!("{:?}", notice.records));
    }
}

#[tokio::test]
async fn a_secret_is_in_no_row_no_report_and_no_notice() {
    let folder = tempfile::TempDir::new().unwrap();
    let overheard = Overheard::default();
    let engine = Engine::builder()
        .store(SledStore::open(folder.path().join("store"), SledOptions::default()).unwrap())
        .kind(Gossip)
        .file("flow.yaml", FLOW)
        .secrets(BTreeMap::from([("token".to_owned(), Arc::from(SECRET))]))
        .observer(overheard.clone())
        .build()
        .await
        .unwrap();
    let run = engine.start("flow", Json::Null).await.unwrap();
    let report = engine.wait(run).await.unwrap();
    assert_eq!(report.error.as_ref().map(|error| error.code.as_str()), Some("told"), "{report:?}");
    let shown = format!("{report:?} {:?} {}", engine.records(run).await.unwrap(), overheard.0.lock().unwrap());
    engine.shutdown().await;
    drop(engine);
    assert!(shown.contains(wf_engine::REDACTED));

    let mut places = vec![("what is shown".to_owned(), shown.into_bytes())];
    files(folder.path(), &mut places);
    assert!(places.len() > 1);
    for (place, bytes) in &places {
        for shape in shapes() {
            let found = bytes.windows(shape.len()).any(|window| window == shape.as_bytes());
            assert!(!found, "`{shape}` in {place}");
        }
    }
}

fn files(folder: &Path, places: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, places);
        } else {
            places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}
