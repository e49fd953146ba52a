//! `wf explain`

use wf_dsl::{Code, suggest};

use crate::exit::{Exit, Failure};
use crate::terminal::{Look, data, wrapped};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The code of a finding, such as `wf::next`
    code: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let Some(info) = Code::find(&args.code) else { return Err(unknown(&args.code)) };
    data(&page(info.page, Look::stdout()))?;
    Ok(Exit::Success)
}

fn unknown(written: &str) -> Failure {
    let name = written.strip_prefix("wf::").unwrap_or(written);
    let near = suggest(name, Code::all().iter().map(|info| info.code.name()));
    let help = match near {
        Some(near) => format!("did you mean `wf::{near}`?"),
        None => {
            let all: Vec<_> = Code::all().iter().map(|info| info.code.name()).collect();
            format!("the codes are {}", all.join(", "))
        }
    };
    Failure::new(Exit::NotFound, format!("there is no code `{written}`")).help(help)
}

/// A page as it is, or for a screen: wrapped, with its headings and examples set off.
fn page(text: &str, look: Look) -> String {
    if !look.is_terminal {
        return text.to_owned();
    }
    let mut shown = String::new();
    let mut in_example = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_example = !in_example;
            continue;
        }
        match line.trim_start_matches('#') {
            heading if !in_example && heading.len() < line.len() => shown.push_str(&look.bold(heading.trim_start())),
            _ if in_example => shown.push_str(&look.cyan(&format!("    {line}"))),
            _ => shown.push_str(wrapped(line, 0, look.width).trim_end()),
        }
        shown.push('\n');
    }
    shown
}
