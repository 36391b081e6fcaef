//! Rows in a file, between two markers: rows of the same name are replaced, others stay.

use std::{fs, path::Path};

use super::row::table;

/// Puts rows into the table `section` of the file. Whatever else the file holds stays as it is.
///
/// # Errors
/// The file has no such section, or cannot be read or written.
pub(crate) fn write(file: &Path, section: &str, head: &[&str], rows: &[Vec<String>]) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", file.display());
    let text = fs::read_to_string(file).map_err(failed)?;
    let text = merged(&text, section, head, rows)
        .ok_or_else(|| format!("{}: no line <!-- chaos {section} --> and <!-- end -->", file.display()))?;
    fs::write(file, text).map_err(failed)
}

fn merged(text: &str, section: &str, head: &[&str], new: &[Vec<String>]) -> Option<String> {
    let marker = format!("<!-- chaos {section} -->\n");
    let (before, rest) = text.split_once(&marker)?;
    let (old, after) = rest.split_once("<!-- end -->")?;
    let mut rows: Vec<Vec<String>> = old.lines().skip(2).map(cells).filter(|row| row.len() == head.len()).collect();
    for row in new {
        match rows.iter_mut().find(|old| old.first() == row.first()) {
            Some(old) => old.clone_from(row),
            None => rows.push(row.clone()),
        }
    }
    Some(format!("{before}{marker}{}<!-- end -->{after}", table(head, &rows)))
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn rows_are_replaced_by_name_and_the_rest_of_the_file_stays() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        let text = "# x\n<!-- chaos faults -->\n<!-- end -->\ny\n<!-- chaos other -->\n<!-- end -->\n";
        let text = merged(text, "faults", &["a", "b"], &[row("one", "1"), row("two", "2")]).unwrap();
        let text = merged(&text, "faults", &["a", "b"], &[row("two", "22"), row("three", "3")]).unwrap();
        let wanted = "# x\n<!-- chaos faults -->\n| a     | b  |\n| ----- | -- |\n| one   | 1  |\n| two   | 22 |\n| three | 3  |\n\
                      <!-- end -->\ny\n<!-- chaos other -->\n<!-- end -->\n";
        assert_eq!(text, wanted);
        assert_eq!(merged(&text, "missing", &["a"], &[]), None);
    }
}
