//! How often a test repeats what it repeats: one table, two sizes. Test binaries include this file by its path.

/// The table: name, size in CI, full size, what is repeated.
const TABLE: &str = include_str!("../campaigns.txt");

/// How many rounds the campaign called `name` has: the CI size, or the full one with `WF_CAMPAIGN=full`.
///
/// # Panics
///
/// If the table has no such campaign, or `WF_CAMPAIGN` is neither `ci` nor `full`.
pub(crate) fn rounds(name: &str) -> usize {
    let column = match std::env::var("WF_CAMPAIGN").as_deref() {
        Err(_) | Ok("ci") => 1,
        Ok("full") => 2,
        Ok(other) => panic!("WF_CAMPAIGN is `ci` or `full`, not `{other}`"),
    };
    let row = TABLE
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|row| row.first() == Some(&name))
        .unwrap_or_else(|| panic!("tests/campaigns.txt has no campaign `{name}`"));
    row[column].parse().expect("the sizes in tests/campaigns.txt are numbers")
}
