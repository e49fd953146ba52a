//! Runs that need more than files: a schedule, a peer that talks back.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::binary::{Desk, said};

#[test]
fn a_cron_workflow_starts_at_once() {
    let workflow = "workflow: nightly
triggers:
  - cron: \"0 9 * * *\"
    timezone: Europe/Berlin
steps:
  - id: done
    finish: ${ event.data.scheduled_at <= now() and event.data.scheduled_at > now() - 1h }
";
    let desk = Desk::with(&[("nightly.yaml", workflow)]);
    let ended = desk.run(["run", "nightly.yaml"]).expect(0, "started by wf.cron");
    assert_eq!(ended.stdout, "true\n");
}

/// The secret, and what it looks like on its way.
const SECRET: &str = "s3cret/with+odd=signs";
const SHAPES: [&str; 3] = [SECRET, "czNjcmV0L3dpdGgrb2RkPXNpZ25z", "s3cret%2Fwith%2Bodd%3Dsigns"];

#[test]
fn a_secret_is_shown_and_kept_nowhere() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let peer = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = vec![0; 16 * 1024];
        let mut length = 0;
        while !request[..length].windows(4).any(|end| end == b"\r\n\r\n") {
            length += stream.read(&mut request[length..]).unwrap();
        }
        let told = SHAPES.join(" ");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nX-Echo: {SECRET}\r\n\r\n{told}", told.len());
        stream.write_all(answer.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let workflow = format!(
        "workflow: leaky
steps:
  - id: ask
    http:
      method: get
      url: http://127.0.0.1:{port}/
      headers:
        authorization: Bearer ${{ secrets.token }}
  - id: say
    log:
      message: ${{ steps.ask.headers[\"x-echo\"] }}
  - id: write
    email:
      to: ada@example.org
      subject: what the peer says
      text: ${{ steps.ask.headers[\"x-echo\"] }}
  - id: give_up
    fail:
      code: peer.talks
      message: ${{ steps.ask.headers[\"x-echo\"] }}
"
    );
    let desk = Desk::with(&[("leaky.yaml", &workflow)]);
    let ended = desk.wf(["run", "leaky.yaml", "--json"]).env("WF_SECRET_TOKEN", SECRET).output().unwrap();
    let ended = said(&ended).expect(1, "peer.talks: [redacted]");
    assert!(peer.join().unwrap().contains(&format!("Bearer {SECRET}")), "the peer gets it");
    let mut places = vec![("stdout".to_owned(), ended.stdout.clone().into_bytes())];
    places.push(("stderr".to_owned(), ended.stderr.clone().into_bytes()));
    let mut folders = vec![desk.path(".wf")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                places.push((path.display().to_string(), std::fs::read(path).unwrap()));
            }
        }
    }
    assert!(places.iter().any(|(name, _)| name.ends_with(".eml")), "a mail was written");
    for (name, bytes) in places {
        let has = |shape: &str| bytes.windows(shape.len()).any(|window| window == shape.as_bytes());
        let found = SHAPES.iter().find(|shape| has(shape));
        assert_eq!(found, None, "{name} holds the secret");
    }
}
