//! Input that nobody should give: each gets a clear error and the right exit code, and loses nothing.

use crate::binary::Desk;

/// A run that ends at once.
const SMALL: &str = "workflow: small\nsteps:\n  - id: done\n    finish: 1\n";

#[test]
fn files_that_are_no_workflows() {
    let bomb: String = (b'b'..=b'k')
        .map(|name| {
            let (this, last) = (char::from(name), char::from(name - 1));
            format!("{this}: &{this} [{}]\n", vec![format!("*{last}"); 9].join(", "))
        })
        .collect();
    let binary: Vec<u8> = (0..=255).cycle().take(4_096).collect();
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("binary", binary, "wf::yaml"),
        ("NUL", b"workflow: a\0b\nsteps: []\n".to_vec(), "wf::yaml"),
        ("invalid UTF-8", b"workflow: x\xff\xfe\nsteps: []\n".to_vec(), "the file is not UTF-8"),
        ("10 MB", vec![b'a'; 10_000_000], "the limit is 1048576"),
        ("alias bomb", format!("a: &a [x, x]\n{bomb}").into_bytes(), "aliases expanded"),
        (
            "10,000 levels",
            format!("workflow: x\nsteps: {}{}\n", "[".repeat(10_000), "]".repeat(10_000)).into_bytes(),
            "64 deep",
        ),
        ("empty", Vec::new(), "wf::yaml"),
        ("not ours", b"services: {}\n".to_vec(), "wf::unknown_key"),
    ];
    for (name, bytes, words) in cases {
        let desk = Desk::new();
        desk.write("a.yaml", &bytes);
        let checked = desk.run(["validate", "a.yaml"]);
        assert_eq!(checked.code, Some(1), "{name}: {checked:?}");
        assert!(checked.stdout.contains(words), "{name}: {checked:?}");
        assert!(checked.stdout.len() < 10_000, "{name} fills the screen");
        let run = desk.run(["run", "a.yaml"]);
        assert_eq!(run.code, Some(3), "{name}: {run:?}");
        assert!(run.stderr.contains(words) && run.stdout.is_empty(), "{name}: {run:?}");
        assert!(!desk.path(".wf").exists(), "{name}: nothing was run, so nothing is kept");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let desk = Desk::with(&[("empty/notes.txt", "nothing of ours\n"), ("small.yaml", SMALL)]);
    for command in ["validate", "run"] {
        desk.run([command, "missing.yaml"]).expect(6, "`missing.yaml` cannot be read: it does not exist");
        desk.run([command, "small.yaml/x"])
            .expect(2, "`small.yaml/x` cannot be read: a part of the path is not a folder");
        desk.run([command, "empty"]).expect(6, "there are no workflows in `empty`");
    }
    desk.run(["run", "small.yaml", "--event", "missing.json"])
        .expect(6, "the event file `missing.json` cannot be read");
    desk.run(["run", "small.yaml", "--event", "empty"]).expect(2, "the event file `empty` cannot be read");
}

#[test]
fn stores_that_cannot_be_written() {
    let desk = Desk::with(&[("small.yaml", SMALL), ("file", "")]);
    desk.run(["run", "small.yaml", "--store", "file"]).expect(4, "the store `file` cannot be opened");
    desk.run(["run", "small.yaml", "--store", "file/below"]).expect(4, "the store `file/below` cannot be opened");
    desk.run(["run", "small.yaml", "--store", "postgres://localhost/wf"]).expect(2, "in a folder, not in PostgreSQL");
    // The kernel's own folders are read-only for everybody, root too.
    desk.run(["run", "small.yaml", "--store", "/sys/kernel/wf"]).expect(4, "the store `/sys/kernel/wf` cannot be");
    // A folder that became read-only after its store was made.
    desk.run(["run", "small.yaml", "--store", "kept"]).expect(0, "small finished");
    let other = Desk::with(&[("small.yaml", SMALL)]);
    let frozen = other.path("frozen");
    std::fs::create_dir(&frozen).unwrap();
    std::fs::set_permissions(&frozen, std::os::unix::fs::PermissionsExt::from_mode(0o555)).unwrap();
    let store = frozen.join("store");
    let run = other.run(["run".as_ref(), "small.yaml".as_ref(), "--store".as_ref(), store.as_os_str()]);
    // Permissions do not hold root back.
    match std::fs::create_dir(frozen.join("probe")) {
        Ok(()) => assert_eq!(run.code, Some(0), "{run:?}"),
        Err(_) => drop(run.expect(4, "cannot be written: Permission denied")),
    }
}

/// A disk that is full: here, a limit on the size of files, which every write beyond it meets with an error.
#[test]
fn a_full_disk_loses_nothing() {
    let grow = "set: { text: \"${ vars.text + vars.text + vars.text + vars.text + vars.text + vars.text }\" }";
    let workflow = format!(
        "workflow: fill
vars:
  text: {{ type: string, value: 0123456789abcdef }}
  rounds: 0
steps:
  - id: grow_once
    {grow}
  - id: grow_twice
    {grow}
  - id: grow_thrice
    {grow}
  - id: mail
    email:
      to: ada@example.org
      subject: mail ${{ vars.rounds }}
      text: ${{ vars.text }}
  - id: pause
    sleep: 1ms
  - id: count
    set:
      rounds: ${{ vars.rounds + 1 }}
  - id: again
    switch:
      - when: ${{ vars.rounds < 900 }}
        next: mail
      - when: true
  - id: done
    finish: ${{ vars.rounds }}
"
    );
    let desk = Desk::with(&[("fill.yaml", &workflow)]);
    let limited = |kib: u32, store: &str| {
        let wf = env!("CARGO_BIN_EXE_wf");
        let script = format!("trap '' XFSZ; ulimit -f {kib}; exec '{wf}' run fill.yaml --fast-forward --store {store}");
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &script]).current_dir(desk.root());
        crate::binary::said(&command.output().unwrap())
    };
    // Full from the start: there is no store, and no run.
    limited(1_000, "none").expect(4, "cannot be opened: File too large");
    assert!(!desk.path("none/outbox").exists());
    // Full on the way: what was sent is known, and the rest is sent when there is room.
    let stopped = limited(8_600, "full").expect(4, "the store takes nothing more");
    let command = format!("wf run --store full --resume {}", stopped.run());
    assert!(stopped.stderr.contains(&command), "{stopped:?}");
    let sent = mails(&desk);
    assert!((1..900).contains(&sent), "{sent} mails: the disk was not full on the way");
    let resumed = desk.run(["run", "--store", "full", "--resume", stopped.run()]).expect(0, "fill finished");
    assert_eq!(resumed.stdout, "900\n");
    assert_eq!(mails(&desk), 900);
}

/// Mails in the outbox; a mail that is handed over twice is there once.
fn mails(desk: &Desk) -> usize {
    let outbox = std::fs::read_dir(desk.path("full/outbox")).unwrap();
    outbox.filter(|file| file.as_ref().unwrap().path().extension().is_some_and(|kind| kind == "eml")).count()
}
